package linux

import (
	"context"
	"fmt"
	"io/fs"
	"strings"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/collect/linux/proctable"
	"swab/internal/row"
)

// Agent lists what of the device is the agent's own: its process, its
// executable, its state file, its sockets and open files. The rows of other
// tables that it explains are marked there too.
//
// Source: /proc/PID of the agent, its executable, its state file's stat.
// Privilege: none. On a tree of files without a known agent it is absent.
func Agent() collect.Collector { return agent{} }

type agent struct{}

func (agent) Spec() collect.Spec {
	return collect.Spec{Item: "linux.agent", Source: []string{"/proc/self/{stat,exe,fd/*}", "the agent's state file"}}
}

func (agent) Collect(ctx context.Context, h *host.Host, out collect.Sink) error {
	ps, err := proctable.Snapshot(ctx, h)
	if err != nil {
		return err
	}
	p, ok := ps.Process(h.Self.PID)
	if !ok || p.EntityID == "" {
		return fmt.Errorf("the agent's process %d: %w", h.Self.PID, fs.ErrNotExist)
	}
	if err := out.Taken(ctx); err != nil {
		return err
	}
	rows := []row.Agent{{
		Kind: "process", Name: p.Name(), PID: p.PID,
		Detail: fmt.Sprintf("started %s, %d threads, entity %s", h.Boot.At(p.Start).Format("2006-01-02T15:04:05.00Z"), p.Stat.Threads, p.EntityID),
	}}
	rows = append(rows, agentExecutable(ctx, p, out))
	if h.Self.StateFile != "" {
		r := row.Agent{Kind: "state file", Name: h.Self.StateFile, PID: p.PID}
		if s, err := h.Root.Lstat(h.Self.StateFile); err == nil {
			r.Inode, r.Detail = s.Inode, fmt.Sprintf("%d bytes, modified %s", s.Size, s.MTime.Format("2006-01-02T15:04:05.000000000Z"))
		} else {
			out.Missing(h.Self.StateFile, err)
		}
		rows = append(rows, r)
	}
	handles := 0
	for _, fd := range p.FDs {
		if ps.Handle(fd) {
			handles++
			continue
		}
		r := row.Agent{Name: fd.Target(), PID: p.PID, FD: fd.Number, Inode: fd.Inode}
		switch fd.Kind {
		case proctable.Socket:
			r.Kind = "socket"
			r.Detail = "its row in the tables of sockets has this inode"
		case proctable.Path:
			r.Kind = "open file"
		default:
			r.Kind = "descriptor"
		}
		rows = append(rows, r)
	}
	rows = append(rows, row.Agent{
		Kind: "handles", Name: "/proc/PID", PID: p.PID, Detail: fmt.Sprintf("%d directories of processes held open while reading", handles),
	})
	for i := range rows {
		if err := out.Row("agent", &rows[i]); err != nil {
			return err
		}
	}
	return nil
}

func agentExecutable(ctx context.Context, p *proctable.Process, out collect.Sink) row.Agent {
	r := row.Agent{Kind: "executable", Name: strings.TrimSuffix(p.Exe, " (deleted)"), PID: p.PID}
	f, err := openOf(p, "exe")
	if err == nil {
		defer f.Close()
		r.Inode = f.Stat().Inode
		r.Detail = fmt.Sprintf("%d bytes", f.Stat().Size)
		r.SHA256, _, err = hashFile(ctx, f, make([]byte, 128<<10))
	}
	if err != nil {
		out.Missing("/proc/self/exe", err)
	}
	return r
}
