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
	MaxProcesses = 8_000     // in the table: half of MaxKept
	MaxCmdline   = 128 << 10 // bytes
	MaxFDs       = 100_000   // of one process
	MaxAllFDs    = 300_000   // of all together, within MaxKept; their targets within MaxTexts

	maxListed = 1 << 20 // pids, four bytes each, of which those for the table are chosen
)

// ErrReused says that a process ended and another has its pid.
var ErrReused = errors.New("the process ended, and another has its pid")

// Processes is the table. It does not change once made.
// It has [MaxKept] bytes at most, and its texts [MaxTexts].
//
// Of more than [MaxProcesses] the first half are those with the lowest pids, which
// are the system's own and its services, and the second half those with the
// highest, which began last: a crowd that is to push others out lies between.
type Processes struct {
	List []*Process // by pid
	Left int        // processes over MaxProcesses
	// The pids between which they lie, both of which are in the table; 0 where
	// none was left out.
	LeftAfter, LeftBefore int

	room                 room
	leftLines, leftBytes atomic.Int64

	proc   *host.Tree
	h      *host.Host
	owners func() []held
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
	FDsLeft  int // descriptors that a bound left out

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

// list reads the pids that there are, and chooses those for the table.
func (ps *Processes) list() error {
	var pids []int32
	err := ps.proc.EachDirent(".", func(e host.Dirent) error {
		pid, err := strconv.ParseInt(e.Name, 10, 32)
		if err != nil || pid <= 0 || e.Name[0] == '0' || e.Name[0] == '+' {
			return nil
		}
		if len(pids) == maxListed {
			ps.Left++
			return nil
		}
		pids = append(pids, int32(pid))
		return nil
	})
	slices.Sort(pids) // procfs lists them so, a tree of files need not
	pids = ps.choose(pids)
	ps.room.take(int64(len(pids)) * perProcess)
	table := make([]Process, len(pids))
	ps.List = make([]*Process, len(pids))
	for i, pid := range pids {
		p := &table[i]
		p.PID, p.Index, p.table = int(pid), i, ps
		ps.List[i] = p
	}
	return err
}

// choose takes out of too many pids those in the middle, but for the agent's own.
func (ps *Processes) choose(pids []int32) []int32 {
	over := len(pids) - MaxProcesses
	if over <= 0 {
		return pids
	}
	from := MaxProcesses / 2
	to := from + over
	var own []int32
	if self := int32(ps.h.Self.PID); pids[from-1] < self && self < pids[to] {
		if _, found := slices.BinarySearch(pids, self); found {
			from-- // it takes the place of the last of the first half
			own = []int32{self}
		}
	}
	ps.Left += over
	ps.LeftAfter, ps.LeftBefore = int(pids[from-1]), int(pids[to])
	return slices.Replace(pids, from, to, own...)
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
	if n := len(p.Status.Groups); n > 0 && !p.table.room.text(n*perGroup, 1) {
		p.Status.Groups, p.StatusErr = nil, ErrTexts
	}
	if p.Exe, p.ExeErr = dir.Readlink("exe"); !p.table.room.text(len(p.Exe), 1) {
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

// perGroup is what a supplementary group takes: here four bytes, and in the row a text.
const perGroup = 4 + 16 + 8

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

// held says that a process has a socket open: an inode, an index into the list,
// a descriptor.
type held struct {
	inode uint64
	index int32
	fd    int32
}

// Owners is who holds the socket with an inode, by pid: a socket may be held by
// several processes, or by none that could be read.
func (ps *Processes) Owners(inode uint64) []Owner {
	all := ps.owners()
	at, _ := slices.BinarySearchFunc(all, inode, func(h held, inode uint64) int { return cmp.Compare(h.inode, inode) })
	var list []Owner
	for ; at < len(all) && all[at].inode == inode; at++ {
		p := ps.List[all[at].index]
		list = append(list, Owner{p.PID, all[at].fd, p.Name(), p.EntityID})
	}
	return list
}

func (ps *Processes) sockets() []held {
	n := 0
	for _, p := range ps.List {
		for _, fd := range p.FDs {
			n += btoi(fd.Kind == Socket)
		}
	}
	all := make([]held, 0, n)
	for i, p := range ps.List {
		for _, fd := range p.FDs {
			if fd.Kind == Socket {
				all = append(all, held{fd.Inode, int32(i), fd.Number})
			}
		}
	}
	slices.SortFunc(all, func(a, b held) int {
		return cmp.Or(cmp.Compare(a.inode, b.inode), cmp.Compare(a.index, b.index), cmp.Compare(a.fd, b.fd))
	})
	return all
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
