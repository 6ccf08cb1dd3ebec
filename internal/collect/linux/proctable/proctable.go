// Package proctable is the table of processes that the collectors of one package
// share, so that processes, maps, open files and sockets speak of the same
// processes and /proc is walked once.
//
// [Snapshot] makes it in two passes over all processes, the most volatile first: what a
// process is (stat, status, command line, executable, network namespace), then what it
// holds open. Each process is read through a handle on its directory, so that a
// new one with its pid is never mixed in.
package proctable

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"swab/internal/collect/host"
	"swab/internal/parse/proc"
	"swab/internal/row"
)

// Bounds of what is kept of each process.
const (
	MaxProcesses = 200_000   // in the table
	MaxCmdline   = 128 << 10 // bytes
	MaxFDs       = 100_000   // of one process
	MaxAllFDs    = 300_000   // of all together: 40 bytes each, and their targets within MaxTexts
)

// ErrReused says that a process ended and another has its pid.
var ErrReused = errors.New("the process ended, and another has its pid")

// Processes is the table. It does not change once made.
// Its texts have [MaxTexts] bytes at most.
type Processes struct {
	List []*Process // by pid
	Left int        // processes over MaxProcesses

	texts                texts
	leftLines, leftBytes atomic.Int64

	proc   *host.Tree
	h      *host.Host
	owners func() map[uint64][]Owner
	byPID  func() map[int]*Process
}

// Process is what the two passes read of a process.
type Process struct {
	PID      int
	Index    int    // in List
	Start    uint64 // ticks since the boot
	EntityID string
	Stat     proc.Stat
	Status   proc.Status
	Exe      string // target of `exe`, as the kernel writes it: " (deleted)" at its end, "/memfd:name"
	Cmdline  []byte // NUL-separated, at most MaxCmdline bytes
	NetNS    uint64 // inode of its network namespace; 0 where it may not be read
	MntNS    uint64 // inode of its mount namespace; likewise
	FDs      []FD

	// Exited says that it was listed and had ended before it was read.
	Exited bool
	// What could not be read, and why; nil where it could.
	StatusErr, ExeErr, CmdlineErr, NetNSErr, FDsErr error

	table *Processes
	stuck atomic.Bool // a read of it was abandoned
	dir   *host.Tree  // kept open; nil where there are too many processes
}

// Snapshot is the host's table of processes, made once for a package.
func Snapshot(ctx context.Context, h *host.Host) (*Processes, error) {
	type key struct{}
	return host.Once(h, key{}, func() (*Processes, error) { return take(ctx, h) })
}

func take(ctx context.Context, h *host.Host) (*Processes, error) {
	if h.Proc == nil {
		return nil, fmt.Errorf("procfs: %w", errNoProc)
	}
	ps := &Processes{proc: h.Proc, h: h}
	if err := ps.list(); err != nil {
		return nil, err
	}
	var held atomic.Int64
	budget := int64(h.Handles())
	Each(ctx, ps, thin, func(p *Process, r *Process, err error) {
		if err != nil {
			// The first pass reads the command line alone of what may block.
			p.CmdlineErr = errors.Join(p.CmdlineErr, err)
			return
		}
		p.commandLine(r.Cmdline, r.CmdlineErr)
	}, func(p *Process) bool { return p.first(&held, budget) })

	var total atomic.Int64
	host.Parallel(ctx, len(ps.List), func() func(int) { // links never block: no patience is needed
		scratch := new(Scratch)
		return func(i int) {
			if p := ps.List[i]; p.EntityID != "" {
				p.FDs, p.FDsErr = p.descriptors(scratch, &total)
			}
		}
	})
	ps.byPID = sync.OnceValue(ps.index)
	ps.owners = sync.OnceValue(ps.sockets)
	return ps, context.Cause(ctx)
}

// list reads the pids that there are.
func (ps *Processes) list() error {
	err := ps.proc.EachDirent(".", func(e host.Dirent) error {
		pid, err := strconv.Atoi(e.Name)
		if err != nil || pid <= 0 || e.Name[0] == '0' || e.Name[0] == '+' {
			return nil
		}
		if len(ps.List) == MaxProcesses {
			ps.Left++
			return nil
		}
		ps.List = append(ps.List, &Process{PID: pid, table: ps})
		return nil
	})
	// procfs lists them so, a tree of files need not.
	slices.SortFunc(ps.List, func(a, b *Process) int { return cmp.Compare(a.PID, b.PID) })
	for i, p := range ps.List {
		p.Index = i
	}
	return err
}

// first opens the process's directory and reads what never blocks. It reports
// whether there is more to read.
func (p *Process) first(held *atomic.Int64, budget int64) bool {
	dir, err := p.table.proc.Sub(strconv.Itoa(p.PID))
	if err != nil {
		p.fail(err)
		return false
	}
	if held.Add(1) <= budget {
		p.dir = dir
	} else {
		defer dir.Close()
	}
	var b host.Buffer
	stat, err := b.Read(dir, "stat", 64<<10)
	if err == nil {
		p.Stat, err = proc.ParseStat(stat)
	}
	if err != nil {
		p.fail(err)
		return false
	}
	p.Start = p.Stat.Start
	p.EntityID = row.EntityID(p.table.h.Boot.ID, p.PID, p.Start)
	status, err := b.Read(dir, "status", 256<<10)
	if err == nil || errors.Is(err, host.ErrTruncated) {
		p.Status, err = proc.ParseStatus(status)
	}
	p.StatusErr = err
	if p.Exe, p.ExeErr = dir.Readlink("exe"); !p.table.texts.take(len(p.Exe), 1) {
		p.Exe, p.ExeErr = "", ErrTexts
	}
	ns, err := dir.Readlink("ns/net")
	if err == nil {
		_, p.NetNS, _ = proc.Inode(ns)
	}
	p.NetNSErr = err
	if ns, err := dir.Readlink("ns/mnt"); err == nil {
		_, p.MntNS, _ = proc.Inode(ns)
	}
	return true
}

func (p *Process) fail(err error) {
	p.StatusErr, p.ExeErr, p.CmdlineErr, p.NetNSErr, p.FDsErr = err, err, err, err, err
	p.Exited = host.Gone(err)
}

// thin reads what may block of the first pass: a process's arguments may lie in
// memory that a file system of its own must answer for.
func thin(s *Scratch, p *Process, dir *host.Tree, _ *host.Beat) (*Process, error) {
	r := new(Process)
	b, err := s.Buf.Read(dir, "cmdline", MaxCmdline)
	r.Cmdline, r.CmdlineErr = slices.Clone(b), err
	return r, nil
}

// Open is the process's directory, and what lets go of it. Where it was not kept
// open it is opened again, and is the same process or [ErrReused].
func (p *Process) Open() (*host.Tree, func(), error) {
	if p.dir != nil {
		return p.dir, func() {}, nil
	}
	dir, err := p.table.proc.Sub(strconv.Itoa(p.PID))
	if err != nil {
		return nil, nil, err
	}
	stat, err := dir.ReadFile("stat", 64<<10)
	if err == nil {
		var s proc.Stat
		if s, err = proc.ParseStat(stat); err == nil && s.Start != p.Start {
			err = ErrReused
		}
	}
	if err != nil {
		dir.Close()
		return nil, nil, err
	}
	return dir, func() { dir.Close() }, nil
}

// Handle reports whether a descriptor of the agent's own process is one of the
// handles on process directories that this table keeps open.
func (ps *Processes) Handle(fd FD) bool {
	if fd.Kind != Path {
		return false
	}
	name := fd.target[strings.LastIndexByte(fd.target, '/')+1:]
	pid, err := strconv.Atoi(name)
	if err != nil || fd.target != "/"+name && fd.target != "/proc/"+name {
		return false
	}
	_, ok := ps.Process(pid)
	return ok
}

// Name is the process's name: the last part of its executable's path would be
// longer, but this is what `ps` and `ss` show.
func (p *Process) Name() string { return p.Stat.Name }

// Process is the process with a pid.
func (ps *Processes) Process(pid int) (*Process, bool) {
	p, ok := ps.byPID()[pid]
	return p, ok
}

func (ps *Processes) index() map[int]*Process {
	m := make(map[int]*Process, len(ps.List))
	for _, p := range ps.List {
		m[p.PID] = p
	}
	return m
}

// Owner is a process that holds a socket.
type Owner struct {
	PID      int
	FD       int32
	Name     string
	EntityID string
}

// SocketOwners is who holds each socket, by the socket's inode: a socket may be
// held by several processes, or by none that could be read.
func (ps *Processes) SocketOwners() map[uint64][]Owner { return ps.owners() }

func (ps *Processes) sockets() map[uint64][]Owner {
	m := make(map[uint64][]Owner)
	for _, p := range ps.List {
		for _, fd := range p.FDs {
			if fd.Kind == Socket {
				m[fd.Inode] = append(m[fd.Inode], Owner{p.PID, fd.Number, p.Name(), p.EntityID})
			}
		}
	}
	return m
}
