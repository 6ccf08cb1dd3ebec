package linux

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/collect/linux/proctable"
	"swab/internal/parse/proc"
	"swab/internal/row"
)

// OpenFiles gathers what each process has open.
//
// Source: the links of /proc/PID/fd (shared with other collectors, package
// proctable), /proc/PID/fdinfo for position and flags, and statx of what a link
// leads to, which asks no server on the network. Of sockets there is the number
// alone: their own tables say the rest.
//
// Privilege: CAP_SYS_PTRACE for other users' processes; without, each is a miss.
//
// Descriptors that are closed while they are read keep what was read. Of more
// than 100,000 in one process, or 300,000 in all, the rest is left out. Targets that
// the table of processes had no room for are read again, one row at a time.
func OpenFiles() collect.Collector { return openFiles{} }

type openFiles struct{}

func (openFiles) Spec() collect.Spec {
	return collect.Spec{Item: "linux.open_files", Source: []string{"/proc/PID/{fd,fdinfo}/*"}}
}

func (openFiles) Collect(ctx context.Context, h *host.Host, out collect.Sink) error {
	ps, err := proctable.Snapshot(ctx, h)
	if err != nil {
		return err
	}
	for _, p := range ps.List {
		switch {
		case p.FDsErr == nil || host.Gone(p.FDsErr):
		case errors.Is(p.FDsErr, host.ErrTruncated):
			out.Truncated(fmt.Sprintf("more than %d descriptors in a process, %d in all, or than there is memory for", proctable.MaxFDs, proctable.MaxAllFDs), int64(p.FDsLeft), 0)
			out.Note("Process %d has %d descriptors more than the %d that are listed.", p.PID, p.FDsLeft, len(p.FDs))
		default:
			out.Missing("/proc/PID/fd", p.FDsErr)
		}
	}
	crowded(ps, out, 0)
	c := &fdReader{h: h, out: out, ps: ps}
	for more := true; more && ctx.Err() == nil; c.from += maxFacts {
		more = false
		proctable.Each(ctx, ps, c.read, c.rows, func(p *proctable.Process) bool { return p.EntityID != "" && len(p.FDs) > c.from })
		for _, p := range ps.List {
			more = more || len(p.FDs) > c.from+maxFacts
		}
	}
	if n := c.left.Load(); n > 0 {
		out.Truncated(fmt.Sprintf("%d descriptors without a target: there was no room for it at first, and later it was gone", n), 0, 0)
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return out.Taken(ctx)
}

// fdReader is the collector at work.
type fdReader struct {
	h   *host.Host
	out collect.Sink
	ps  *proctable.Processes

	from int          // the descriptor of each process with which this round begins
	left atomic.Int64 // targets
}

// maxFacts is of how many descriptors of a process the facts are read at a time:
// four processes' facts are in memory at once, 350 bytes for each descriptor.
const maxFacts = 2048

// round is those of a process's descriptors that this round reads.
func (c *fdReader) round(p *proctable.Process) []proctable.FD {
	return p.FDs[min(c.from, len(p.FDs)):min(c.from+maxFacts, len(p.FDs))]
}

// fdFacts is what is read of one descriptor beyond its link.
type fdFacts struct {
	info    proc.FDInfo
	infoErr error
	stat    host.Stat
	statErr error
	deleted bool
}

// read reads the facts of a process's descriptors.
func (c *fdReader) read(s *proctable.Scratch, p *proctable.Process, dir *host.Tree, beat *host.Beat) ([]fdFacts, error) {
	list := c.round(p)
	fds, err := dir.Sub("fd")
	if err != nil {
		return nil, err
	}
	defer fds.Close()
	infos, err := dir.Sub("fdinfo")
	if err != nil {
		return nil, err
	}
	defer infos.Close()
	facts := make([]fdFacts, len(list))
	for i, fd := range list {
		if fd.Kind == proctable.Socket {
			continue
		}
		beat.Tick()
		f, name := &facts[i], strconv.Itoa(int(fd.Number))
		var b []byte
		if b, f.infoErr = s.Buf.Read(infos, name, 16<<10); f.infoErr == nil || errors.Is(f.infoErr, host.ErrTruncated) {
			f.info, f.infoErr = proc.ParseFDInfo(b)
		}
		if fd.Kind == proctable.Path {
			beat.Tick()
			f.stat, f.statErr = fds.StatLink(name)
			target := fd.Target()
			if fd.Left {
				target, _ = fds.Readlink(name) // the row tells whether it can still be had
			}
			if strings.HasSuffix(target, deletedMark) {
				f.deleted = f.statErr != nil || unlinked(c.h, c.ps, p, target, f.stat)
			}
		}
	}
	return facts, nil
}

// rows makes the rows of a process.
func (c *fdReader) rows(p *proctable.Process, facts []fdFacts, err error) {
	if err != nil && !host.Gone(err) {
		c.out.Missing("/proc/PID/fdinfo", err)
	}
	own := p.PID == c.h.Self.PID
	for i, fd := range c.round(p) {
		if own && c.ps.Handle(fd) {
			continue // the agent's table counts them
		}
		target, left := p.Target(fd)
		r := row.OpenFile{
			PID: p.PID, Name: p.Name(), FD: fd.Number, Target: target, Inode: fd.Inode, EntityID: p.EntityID, Own: own,
		}
		switch fd.Kind {
		case proctable.Socket:
			r.Kind = "socket"
		case proctable.Pipe:
			r.Kind = "pipe"
		case proctable.Anon:
			r.Kind = "anon"
		default:
			r.Kind = "other"
		}
		if facts != nil {
			c.facts(&r, fd, &facts[i])
		}
		if left != nil {
			c.left.Add(1)
			r.Detail = join(r.Detail, "its target was left out")
		}
		if c.out.Row("open_files", &r) != nil {
			return // the sink has recorded why
		}
	}
}

// facts adds to a row what was read of its descriptor.
func (c *fdReader) facts(r *row.OpenFile, fd proctable.FD, f *fdFacts) {
	if f.infoErr == nil && fd.Kind != proctable.Socket {
		r.Access, r.Position, r.Mount, r.Locks = f.info.Access(), f.info.Pos, f.info.Mount, f.info.Locks
		r.Flags = strconv.FormatUint(uint64(f.info.Flags), 8)
		r.Detail = strings.Join(f.info.Detail, "; ")
	} else if f.infoErr != nil && !host.Gone(f.infoErr) {
		c.out.Missing("/proc/PID/fdinfo", f.infoErr)
	}
	if fd.Kind != proctable.Path {
		return
	}
	if r.Deleted = f.deleted; r.Deleted {
		r.Target = strings.TrimSuffix(r.Target, deletedMark)
	}
	if f.statErr != nil {
		if !host.Gone(f.statErr) {
			c.out.Missing("/proc/PID/fd", f.statErr)
		}
		return
	}
	s := &f.stat
	r.Kind, r.Size, r.Inode, r.Device, r.Links = s.Kind().String(), s.Size, s.Inode, s.Dev.String(), s.Links
	r.Owner = strconv.FormatUint(uint64(s.UID), 10)
	if r.Deleted && strings.HasPrefix(r.Target, "/memfd:") {
		r.Kind = "memfd"
	}
}
