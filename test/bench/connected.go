package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"swab/client"
	"swab/test/installation"
	"swab/test/load"
)

// connected measures a server with many connected devices, which the process that
// measures simulates: what each costs, how soon a request reaches its device, how
// many collections are completed, and how soon all are back after a restart.
// DEVICES and RATE set its size.
func connected(ctx context.Context, t *table, programs installation.Programs, dir string) error {
	devices, rate := number("DEVICES", 2000), number("RATE", 50)
	home := filepath.Join(dir, "fleet")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	in, err := installation.New(programs, home)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := in.StartServer(ctx); err != nil {
		return err
	}
	cred, err := in.Credentials()
	if err != nil {
		return err
	}
	pem, err := os.ReadFile(cred.CAFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	c, err := in.Client()
	if err != nil {
		return err
	}
	defer c.Close()

	took := &arrivals{at: map[string]time.Time{}}
	begun := time.Now()
	f, err := load.New(ctx, load.Config{Base: cred.APIBase, Roots: roots, Token: cred.EnrollmentToken, Devices: devices, Took: took.add})
	if err != nil {
		return err
	}
	defer f.Close()
	enrolled := time.Since(begun)
	if err := in.Server.Stop(); err != nil { // so that only what is connected is counted
		return err
	}
	if err := in.StartServer(ctx); err != nil {
		return err
	}
	before, err := status(in.Server.PID, "VmRSS")
	if err != nil {
		return err
	}
	begun = time.Now()
	if err := f.Connect(ctx); err != nil {
		return err
	}
	back := time.Since(begun)
	after, err := settledResident(ctx, in.Server.PID)
	if err != nil {
		return err
	}
	t.add(fmt.Sprintf("idle connected device on the server, resident, %d of them", devices), kib((after-before)/float64(devices)), "≤ 10 KiB at 15,000", "")
	t.add(fmt.Sprintf("%d devices sign in and connect after a restart", devices), ms(back), "≤ 60 s for 15,000",
		fmt.Sprintf("enrolment of all: %s", ms(enrolled)))

	seconds := number("SECONDS", 20)
	fmt.Fprintf(os.Stderr, "%d collections a second for %d s among %d devices\n", rate, seconds, devices)
	cost, err := costs(in.Server.PID, func() error { return ask(ctx, c, f, took, rate, seconds) })
	if err != nil {
		return err
	}
	waits := took.waits()
	if len(waits) == 0 {
		return errors.New("no device took a request")
	}
	t.add(fmt.Sprintf("POST answered → action received, %d connected, %d collects/s", devices, rate),
		ms(waits[len(waits)/2])+" p50, "+ms(waits[len(waits)*99/100])+" p99", "≤ 5 ms, ≤ 50 ms", cost)
	if lost := f.Lost.Load(); lost > 0 {
		return fmt.Errorf("%d channels ended by themselves", lost)
	}
	return f.Wrong()
}

// ask asks devices in turn for packages, so many a second, and waits until all
// are delivered.
func ask(ctx context.Context, c *client.Client, f *load.Fleet, took *arrivals, rate, seconds int) error {
	ids := f.Devices()
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	var (
		work   sync.WaitGroup
		failed = make(chan error, 1)
		total  = rate * seconds
	)
	for n := range total {
		<-tick.C
		work.Go(func() {
			a, err := c.Collect(ctx, ids[n%len(ids)], client.CollectRequest{Comment: "load"})
			took.answered(a.ID)
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	work.Wait()
	select {
	case err := <-failed:
		return err
	default:
	}
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(time.Minute); f.Delivered.Load() < int64(total); <-look.C {
		if err := errors.Join(f.Wrong(), ctx.Err()); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d packages were delivered within a minute", f.Delivered.Load(), total)
		}
	}
	return nil
}

// settledResident is what a process holds once it has given back what it does not
// need: when that has not become less for five seconds.
func settledResident(ctx context.Context, pid int) (least float64, err error) {
	look := time.NewTicker(500 * time.Millisecond)
	defer look.Stop()
	for since := time.Now(); time.Since(since) < 5*time.Second; <-look.C {
		now, err := status(pid, "VmRSS")
		if err = errors.Join(err, ctx.Err()); err != nil {
			return 0, err
		}
		if least == 0 || now < 0.99*least {
			least, since = now, time.Now()
		}
	}
	return least, nil
}

// arrivals are when requests were answered and when their devices had them.
type arrivals struct {
	mu   sync.Mutex
	at   map[string]time.Time // the other of the two, while one is missing
	took []time.Duration
}

// add notes when a device had a request.
func (a *arrivals) add(action string, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if answered, ok := a.at[action]; ok {
		a.took = append(a.took, at.Sub(answered))
		delete(a.at, action)
		return
	}
	a.at[action] = at
}

// answered notes that a request was answered now. A device may have it before.
func (a *arrivals) answered(action string) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if at, ok := a.at[action]; ok {
		a.took = append(a.took, max(0, at.Sub(now)))
		delete(a.at, action)
		return
	}
	a.at[action] = now
}

func (a *arrivals) waits() []time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	slices.Sort(a.took)
	return a.took
}

// costs is what a time cost the server and this process, of a CPU.
func costs(server int, run func() error) (string, error) {
	begun := time.Now()
	own, err := cpu(os.Getpid())
	if err != nil {
		return "", err
	}
	its, err := cpu(server)
	if err != nil {
		return "", err
	}
	if err := run(); err != nil {
		return "", err
	}
	took := time.Since(begun)
	ownAfter, err := cpu(os.Getpid())
	if err != nil {
		return "", err
	}
	itsAfter, err := cpu(server)
	return fmt.Sprintf("server %.0f%% of a CPU, generator %.0f%%", 100*(itsAfter-its).Seconds()/took.Seconds(), 100*(ownAfter-own).Seconds()/took.Seconds()), err
}
