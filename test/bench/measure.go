package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"swab/client"
	"swab/test/installation"
)

type bench struct {
	in     *installation.Installation
	device string
	agent  int     // pid
	before float64 // written, before the first collection
}

// timing is one collection, from the moment the POST was answered.
type timing struct {
	call, begun, taken, done time.Duration
	bytes                    int64
}

// collections measures n collections, one after another.
func (b *bench) collections(ctx context.Context, t *table, where string, n int) error {
	c, err := b.in.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	var all []timing
	for range n {
		one, err := b.one(ctx, c)
		if err != nil {
			return err
		}
		all = append(all, one)
	}
	pick := func(f func(timing) time.Duration) time.Duration { return median(all, f) }
	goalTaken, base := "≤ 300 ms", bare()
	if where != "" {
		goalTaken = "≤ 1 s"
	} else {
		t.add("collect call, to its answer"+where, ms(pick(func(t timing) time.Duration { return t.call })), "", "")
		t.add("POST answered → action checked and begun", ms(pick(func(t timing) time.Duration { return t.begun })), "≤ 5 ms", "")
	}
	t.add("POST answered → stage 0 in memory"+where, ms(pick(func(t timing) time.Duration { return t.taken })), goalTaken,
		"bare loop over /proc, one thread: "+ms(base))
	goalDone := "≤ 2 s"
	if where != "" {
		goalDone = ""
	}
	t.add("POST answered → Succeeded"+where, ms(pick(func(t timing) time.Duration { return t.done })), goalDone, "")
	t.add("package"+where, mb(float64(median(all, func(t timing) int64 { return t.bytes }))), "", "")
	return nil
}

func (b *bench) one(ctx context.Context, c *client.Client) (timing, error) {
	var one timing
	before := time.Now()
	a, err := c.Collect(ctx, b.device, client.CollectRequest{Comment: "bench"})
	if err != nil {
		return one, err
	}
	answered := time.Now()
	one.call = answered.Sub(before)
	if a, err = c.Wait(ctx, a.ID); err != nil {
		return one, err
	}
	if a.Status != client.Succeeded {
		return one, fmt.Errorf("action %s is %s: %s", a.ID, a.Status, a.Trouble)
	}
	one.done = a.Updated.Sub(answered)
	if err := b.in.Server.Await(ctx, `"msg":"package sealed","action":"`+a.ID); err != nil {
		return one, err
	}
	// The server's log has the moment at which the device's word arrived, by
	// the same clock: a little later than what is asked for.
	for _, line := range b.in.Server.Lines() {
		var l struct {
			Time    time.Time `json:"time"`
			Msg     string    `json:"msg"`
			Action  string    `json:"action"`
			Bytes   int64     `json:"bytes"`
			TakenMs int64     `json:"takenMs"`
		}
		if !strings.Contains(line, a.ID) || json.Unmarshal([]byte(line), &l) != nil {
			continue
		}
		switch l.Msg {
		case "attempt begun":
			one.begun = l.Time.Sub(answered)
		case "package sealed":
			one.bytes, one.taken = l.Bytes, time.Duration(l.TakenMs)*time.Millisecond
		}
	}
	one.taken += one.begun
	return one, nil
}

// bare reads twelve files, seven links and all descriptors of each process by
// the plainest loop: what nobody who reads them can do without.
func bare() time.Duration {
	start := time.Now()
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	buf := make([]byte, 1<<20)
	for _, d := range dirs {
		for _, f := range []string{"stat", "status", "cmdline", "environ", "cgroup", "loginuid", "limits", "io", "wchan", "maps", "oom_score_adj", "sessionid"} {
			if h, err := os.Open(filepath.Join(d, f)); err == nil {
				for n, err := h.Read(buf); n > 0 && err == nil; n, err = h.Read(buf) {
				}
				h.Close()
			}
		}
		for _, l := range []string{"exe", "cwd", "root", "ns/net", "ns/mnt", "ns/pid", "ns/user"} {
			os.Readlink(filepath.Join(d, l))
		}
		fds, _ := os.ReadDir(filepath.Join(d, "fd"))
		for _, fd := range fds {
			os.Readlink(filepath.Join(d, "fd", fd.Name()))
		}
	}
	return time.Since(start)
}

// idle measures the agent while nothing is asked of it.
func (b *bench) idle(ctx context.Context, t *table) error {
	const span = 10 * time.Second
	before, err := cpu(b.agent)
	if err != nil {
		return err
	}
	select {
	case <-time.After(span):
	case <-ctx.Done():
		return ctx.Err()
	}
	after, err := cpu(b.agent)
	if err != nil {
		return err
	}
	rss, err := status(b.agent, "VmRSS")
	if err != nil {
		return err
	}
	t.add("agent idle, resident", mib(rss), "≤ 20 MiB", "")
	t.add("agent idle, CPU in 10 s", ms(after-before), "none", "")
	b.before, err = b.written()
	return err
}

// footprint is what the agent left on the host and took from it.
func (b *bench) footprint(t *table, rounds int) error {
	written, err := b.written()
	if err != nil {
		return err
	}
	t.add("agent, write_bytes an action", kib((written-b.before)/float64(rounds)), "≤ 16 KiB", "")
	return b.peak(t, "")
}

// written is what the agent has sent to the disk since it started.
func (b *bench) written() (float64, error) {
	return field(fmt.Sprintf("/proc/%d/io", b.agent), "write_bytes")
}

func (b *bench) peak(t *table, where string) error {
	peak, err := status(b.agent, "VmHWM")
	if err != nil {
		return err
	}
	t.add("agent while collecting, peak resident"+where, mib(peak), "≤ 64 MiB", "")
	return nil
}

// status is a value of /proc/PID/status in bytes.
func status(pid int, name string) (float64, error) {
	kib, err := field(fmt.Sprintf("/proc/%d/status", pid), name)
	return kib * 1024, err
}

func field(file, name string) (float64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			return strconv.ParseFloat(strings.Fields(rest)[0], 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", file, name)
}

// cpu is the time that a process has spent on a processor; the kernel counts it
// in hundredths of a second.
func cpu(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text)[strings.LastIndexByte(string(text), ')')+1:])
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, err
}

func median[T any, V int64 | time.Duration](all []T, f func(T) V) V {
	var values []V
	for _, one := range all {
		values = append(values, f(one))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// trusting carries requests to a server whose certificate its own authority signed,
// of so many callers at once.
func trusting(cred client.Credentials, callers int) (*http.Transport, error) {
	ca, err := os.ReadFile(cred.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: callers}, nil
}
