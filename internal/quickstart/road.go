package quickstart

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"swab/client"
	"swab/internal/action"
	"swab/internal/command"
)

// road is one run: what it is told to whom, and what was measured on the way.
type road struct {
	env   command.Env
	dir   string
	out   io.Writer
	times []timing

	agentStart time.Time
	progress   action.Action // as last seen
}

type timing struct {
	what string
	took time.Duration
}

func (r *road) took(what string, d time.Duration) { r.times = append(r.times, timing{what, d}) }

// say prints a line of the run. The text may come from a device.
func (r *road) say(what, text string) {
	fmt.Fprintf(r.out, "%-9s %s\n", what, command.Printable(text))
}

// device waits until this host's agent has connected, and returns the device
// that it is. Other devices may be enrolled at this server by then.
func (r *road) device(ctx context.Context, c *client.Client, since time.Time) (client.Machine, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, fmt.Errorf("no agent connected within %s", startTime))
	defer cancel()
	host, err := os.Hostname()
	if err != nil {
		return client.Machine{}, err
	}
	host, _, _ = strings.Cut(strings.ToLower(host), ".")
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		machines, err := c.Machines(ctx, client.Page{})
		if err != nil {
			return client.Machine{}, err
		}
		var connected []client.Machine
		for _, m := range machines {
			if m.LastSeen.Before(since) {
				continue
			}
			connected = append(connected, m)
			if name, _, _ := strings.Cut(m.Name, "."); name == host {
				return m, nil
			}
		}
		if len(connected) == 1 && len(machines) == 1 {
			return connected[0], nil // the agent knows the host by another name than we do
		}
		select {
		case <-ctx.Done():
			return client.Machine{}, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// columns writes rows in columns, each cell made safe to show.
func columns(w io.Writer, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for len(row) > 0 && row[len(row)-1] == "" {
			row = row[:len(row)-1] // no blanks at a line's end
		}
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(tw, "\t")
			}
			fmt.Fprint(tw, command.Printable(cell))
		}
		fmt.Fprintln(tw)
	}
	return tw.Flush()
}
