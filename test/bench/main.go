// Command bench measures what Swab promises and prints it as one table, with the
// machine's facts and, where there is one, a baseline of the same run.
//
// It builds the programs as they are released, runs a server and an agent as
// processes, and asks for packages through the public API, on an ordinary host
// and beside a crowd of processes and sockets. Figures are medians. It must run
// as root to see what an agent sees; ROUNDS and CROWD set its size. With the
// argument "lists" (device groups among them), "groups", "collects", "connected" or "signins" it
// measures that alone. FULL=1 measures lists and device groups among as many machines
// and actions as are promised, which takes 40 GB of disk and half an hour; there,
// STORE=sqlite or postgresql measures one of the stores, and ACTIONS is how many each
// machine has (10).
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
		name := os.Args[1]
		if parts[name] == nil {
			fmt.Fprintf(os.Stderr, "bench: there is no part %q; there are %s\n", name, strings.Join(slices.Sorted(maps.Keys(parts)), ", "))
			os.Exit(2)
		}
		what = func(ctx context.Context) error { return alone(ctx, name) }
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

// parts are what can be measured alone, by name.
var parts = map[string]func(ctx context.Context, t *table, dir string) error{
	"lists": lists, "groups": groups, "collects": built(collects), "signins": built(signins), "connected": built(connected),
}

// alone measures one part, and prints what there is where it came to no end.
func alone(ctx context.Context, name string) error {
	dir, err := os.MkdirTemp("", "swab-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var t table
	t.facts()
	err = parts[name](ctx, &t, dir)
	t.print(os.Stdout, "go run ./test/bench "+name)
	return err
}

// built is a part that takes the programs.
func built(measure func(context.Context, *table, installation.Programs, string) error) func(context.Context, *table, string) error {
	return func(ctx context.Context, t *table, dir string) error {
		programs, err := installation.Build(ctx, dir)
		if err != nil {
			return err
		}
		return measure(ctx, t, programs, dir)
	}
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
