package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
)

// table is the result: the machine's facts, then a line a figure.
type table struct {
	machine []string
	rows    [][4]string
}

func (t *table) facts() {
	t.machine = append(t.machine, fmt.Sprintf("%s, %d CPUs", runtime.Version(), runtime.NumCPU()))
	for file, keys := range map[string][]string{
		"/proc/cpuinfo": {"model name"}, "/proc/meminfo": {"MemTotal"}, "/proc/version": {"Linux version"},
	} {
		f, err := os.Open(file)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), keys[0]) {
				t.machine = append(t.machine, strings.Join(strings.Fields(lines.Text()), " "))
				break
			}
		}
		f.Close()
	}
}

func (t *table) add(what, measured, goal, baseline string) {
	t.rows = append(t.rows, [4]string{what, measured, goal, baseline})
}

func (t *table) text(command string) string {
	var b strings.Builder
	t.print(&b, command)
	return b.String()
}

func (t *table) print(w io.Writer, command string) {
	for _, f := range t.machine {
		fmt.Fprintln(w, f)
	}
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "figure (by %s)\tmeasured\tgoal\tbaseline in the same run\n", command)
	for _, r := range t.rows {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", r[0], r[1], r[2], r[3])
	}
	tw.Flush()
}
