// Command bench measures what Swab promises and prints it as one table, with the
// machine's facts and, where there is one, a baseline of the same run.
//
// It builds the programs as they are released, runs a server and an agent as
// processes, and asks for packages through the public API, on an ordinary host
// and beside a crowd of processes and sockets. Figures are medians. It must run
// as root to see what an agent sees; ROUNDS and CROWD set its size. With the
// argument "lists" (which is with device groups), "groups", "collects" or "signins"
// it measures that alone. Of lists of machines and actions, and of device groups,
// FULL=1 does so
// among as many as are promised, which takes 40 GB of disk and half an hour.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"time"

	"swab/test/installation"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "hold" {
		hold(ctx)
		return
	}
	what := run
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "lists":
			what = onlyLists
		case "groups":
			what = onlyGroups
		case "collects":
			what = onlyCollects
		case "signins":
			what = onlySignins
		}
	}
	if err := what(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "swab-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintln(os.Stderr, "building the programs")
	programs, err := installation.Build(ctx, dir)
	if err != nil {
		return err
	}
	var t table
	t.facts()
	info, err := os.Stat(programs.Agent)
	if err != nil {
		return err
	}
	t.add("agent binary, linux/amd64, stripped", mb(float64(info.Size())), "≤ 15 MB", "")

	in, err := installation.New(programs, dir)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := in.StartServer(ctx); err != nil {
		return err
	}
	if err := in.StartAgent("a"); err != nil {
		return err
	}
	ids, err := in.AwaitDevices(ctx, 1)
	if err != nil {
		return err
	}
	b := bench{in: in, device: ids[0], agent: in.Agents["a"].PID}
	fmt.Fprintln(os.Stderr, "the agent at rest, 10 s")
	if err := b.idle(ctx, &t); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "tokens")
	if err := tokens(ctx, &t, in); err != nil {
		return err
	}
	if err := collects(ctx, &t, programs, dir); err != nil {
		return err
	}
	if err := signins(ctx, &t, programs, dir); err != nil {
		return err
	}
	rounds := number("ROUNDS", 30)
	fmt.Fprintf(os.Stderr, "%d collections on this host\n", rounds)
	if err := b.collections(ctx, &t, "", rounds); err != nil {
		return err
	}
	if err := b.footprint(&t, rounds); err != nil {
		return err
	}
	crowd := number("CROWD", 2000)
	fmt.Fprintf(os.Stderr, "%d collections beside %d processes and %d sockets\n", max(3, rounds/5), crowd, crowd*socketsEach)
	end, err := gather(ctx, crowd)
	if err != nil {
		return err
	}
	defer end()
	if err := b.collections(ctx, &t, fmt.Sprintf(", beside %d processes, %d sockets", crowd, crowd*socketsEach), max(3, rounds/5)); err != nil {
		return err
	}
	if err := b.peak(&t, ", the crowd included"); err != nil {
		return err
	}
	if err := lists(ctx, &t, dir); err != nil {
		return err
	}
	if err := limits(ctx, &t, dir); err != nil {
		return err
	}
	t.print(os.Stdout, "make bench")
	return os.WriteFile(filepath.Join(os.TempDir(), "swab-bench.txt"), []byte(t.text("make bench")), 0o644)
}

// onlyLists measures nothing but lists.
func onlyLists(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "swab-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var t table
	t.facts()
	err = lists(ctx, &t, dir)
	t.print(os.Stdout, "go run ./test/bench lists") // what there is, where the second store was not reached
	return err
}

// onlyGroups measures nothing but what device groups cost.
func onlyGroups(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "swab-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var t table
	t.facts()
	err = groups(ctx, &t, dir) // what there is, as for lists
	t.print(os.Stdout, "go run ./test/bench groups")
	return err
}

// onlyCollects measures nothing but collect calls.
func onlyCollects(ctx context.Context) error { return alone(ctx, collects) }

func onlySignins(ctx context.Context) error { return alone(ctx, signins) }

// alone measures one thing that takes the programs.
func alone(ctx context.Context, what func(context.Context, *table, installation.Programs, string) error) error {
	dir, err := os.MkdirTemp("", "swab-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	programs, err := installation.Build(ctx, dir)
	if err != nil {
		return err
	}
	var t table
	t.facts()
	if err := what(ctx, &t, programs, dir); err != nil {
		return err
	}
	t.print(os.Stdout, "make bench")
	return nil
}

func number(variable string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
func mb(n float64) string       { return fmt.Sprintf("%.1f MB", n/1e6) }
func mib(n float64) string      { return fmt.Sprintf("%.1f MiB", n/(1<<20)) }
func kib(n float64) string      { return fmt.Sprintf("%.1f KiB", n/(1<<10)) }
