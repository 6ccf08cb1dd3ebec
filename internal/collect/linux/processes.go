package linux

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/collect/linux/proctable"
	"swab/internal/collect/mask"
	"swab/internal/parse/mountinfo"
	"swab/internal/parse/proc"
	"swab/internal/row"
)

// Processes gathers the running processes, the hashes of what they run, and
// the executables that no path leads to.
//
// Source: /proc/PID through a handle on each directory, in two passes: what
// goes first (shared with other collectors, package proctable), then the rest.
// Executables are read through /proc/PID/exe, so it is the running inode that is
// hashed, once for each (device, inode, time of modification).
//
// Privilege: none for a process's names and ids; CAP_SYS_PTRACE for other users'
// executables, environments, directories, namespaces and counters. What is
// refused is named in the row, and once for all rows in the ledger.
//
// A process that ends while it is read keeps its row, marked exited. One whose
// memory lies on a file system that does not answer is abandoned after a second;
// its row has what never blocks. Arguments over 128 KiB and environments over
// 64 KiB are cut, and where those of all are too long together, more; the row says so. Secrets are masked (package mask).
func Processes() collect.Collector { return processes{} }

type processes struct{}

func (processes) Spec() collect.Spec {
	return collect.Spec{
		Item: "linux.processes",
		Source: []string{
			"/proc/PID/{stat,status,cmdline,cgroup,environ,limits,io,loginuid,sessionid,oom_score_adj,wchan,attr/current}",
			"/proc/PID/{exe,cwd,root,ns/*,fd/*}", "/proc/{1,self}/mountinfo", "/etc/passwd",
		},
	}
}

// maxEnvironments bounds the environments of all processes together: their rows
// wait in memory for the hashes.
const maxEnvironments = 12 << 20

func (processes) Collect(ctx context.Context, h *host.Host, out collect.Sink) error {
	ps, err := proctable.Snapshot(ctx, h)
	if err != nil {
		return err
	}
	c := &processReader{h: h, out: out, ps: ps, users: userNames(h), mask: mask.New(h.MaskKey), rows: make([]row.Process, len(ps.List))}
	over := procCovers(h)
	hidden := 0
	for i, p := range ps.List {
		c.thin(&c.rows[i], p)
		if over.pids[p.PID] {
			c.rows[i].Covered = true
			hidden++
		}
	}
	if hidden > 0 {
		out.Note("Something is mounted over the directories of %d processes in /proc, which hides them from other tools.", hidden)
	}
	for _, table := range over.whole {
		out.Note("%s has more than one mount at /proc: the upper one hides what the lower one shows, perhaps processes.", table)
	}
	proctable.Each(ctx, ps, c.thick, c.done, nil)
	c.tellLeft()
	if err := context.Cause(ctx); err != nil {
		return c.flush(err)
	}
	if err := out.Taken(ctx); err != nil {
		return c.flush(err)
	}
	c.hash(ctx)
	err = c.flush(context.Cause(ctx))
	if err != nil {
		return err
	}
	return c.recover(ctx)
}

// tellLeft records what bounds left out, and what was masked.
func (c *processReader) tellLeft() {
	if c.ps.Left > 0 {
		crowded(c.ps, c.out, c.ps.Left)
		c.out.Note("Left out are processes whose pids lie between %d and %d.", c.ps.LeftAfter, c.ps.LeftBefore)
	}
	lines, n := c.ps.LeftLines()
	if lines += c.linesLeft; lines > 0 {
		c.out.Truncated(fmt.Sprintf("%d command lines, as those of all processes were too long together", lines), 0, n+c.lineBytes)
	}
	if n := c.envLeft.Load(); n > 0 {
		c.out.Truncated(fmt.Sprintf("environments of more than %d bytes in all", maxEnvironments), 0, n)
	}
	if n := c.textsLeft.Load(); n > 0 {
		c.out.Truncated(fmt.Sprintf("%d directories, cgroups and labels of processes that there was no room for", n), 0, 0)
	}
	if n := c.mask.Made(); n > 0 {
		c.out.Note("%d secrets in command lines and environments are masked.", n)
	}
}

// crowded records that there were too many processes, of which an item has
// nothing: so many rows, where it is known.
func crowded(ps *proctable.Processes, out collect.Sink, rows int) {
	if ps.Left > 0 {
		out.Truncated(fmt.Sprintf("%d processes over the %d that there is room for", ps.Left, proctable.MaxProcesses), int64(rows), 0)
	}
}

// covers is what is mounted over procfs.
type covers struct {
	pids  map[int]bool // over whose directory, whether there is such a process or not
	whole []string     // the mount tables that have a second mount at /proc itself
}

// procCovers reads what is mounted over procfs, as the first process's mount
// namespace and the agent's have it.
func procCovers(h *host.Host) covers {
	c := covers{pids: map[int]bool{}}
	for _, name := range []string{"1/mountinfo", "self/mountinfo"} {
		data, _ := h.Proc.ReadFile(name, 16<<20) // what can't be read, mounts tells of
		procs := 0
		for m := range mountinfo.Parse(data) { // a line that is none is passed over
			if m.Point == "/proc" {
				procs++
			}
			rest, ok := strings.CutPrefix(m.Point, "/proc/")
			first, _, _ := strings.Cut(rest, "/")
			if pid, err := strconv.Atoi(first); ok && err == nil {
				c.pids[pid] = true
			}
		}
		if procs > 1 {
			c.whole = append(c.whole, h.Proc.Name(name))
		}
	}
	return c
}

// processReader is the collector at work.
type processReader struct {
	h     *host.Host
	out   collect.Sink
	ps    *proctable.Processes
	users map[uint32]string
	mask  *mask.Masker
	rows  []row.Process // as ps.List

	caps      sync.Map // capability set → its names
	env       atomic.Int64
	envLeft   atomic.Int64
	textsLeft atomic.Int64
	linesLeft int64
	lineBytes int64

	exited int
}

// flush writes the rows, and returns err or what went wrong with them.
func (c *processReader) flush(err error) error {
	for i := range c.rows {
		if c.rows[i].Exited {
			c.exited++
		}
		if rerr := c.out.Row("processes", &c.rows[i]); rerr != nil && err == nil {
			err = rerr
		}
	}
	if c.exited > 0 {
		c.out.Note("%d ended while they were read.", c.exited)
	}
	return err
}

// thin fills a row from the first pass.
func (c *processReader) thin(r *row.Process, p *proctable.Process) {
	s, st := &p.Stat, &p.Status
	major, minor := s.Terminal()
	*r = row.Process{
		PID: p.PID, Name: s.Name, Start: c.h.Boot.At(p.Start), EntityID: p.EntityID,
		Exited: p.Exited, Own: p.PID == c.h.Self.PID && p.PID != 0, KernelThread: s.KernelThread(),
		State:    string(s.State),
		TTYMajor: major, TTYMinor: minor, TTY: terminal(major, minor),
		Tracer: st.Tracer, NoNewPrivs: st.NoNewPrivs, SeccompFilters: st.Filters,
		NetNS: p.NetNS, MntNS: p.MntNS, Threads: s.Threads, OpenFiles: len(p.FDs),
		Nice: s.Nice, Priority: s.Priority, UserMs: s.User * 1000 / host.TicksPerSecond, SystemMs: s.System * 1000 / host.TicksPerSecond,
		RSS: st.VMRSS, VSize: s.VSize, Swap: st.VMSwap,
	}
	if p.EntityID == "" { // it had ended, or nothing of it may be read
		r.State, r.Start = "", c.h.Boot.At(1<<63)
		c.miss(r, "stat", p.StatusErr)
		return
	}
	r.PPID, r.Group, r.Session = row.Num(s.Parent), row.Num(s.Group), row.Num(s.Session)
	if parent, ok := c.ps.Process(s.Parent); ok {
		r.ParentEntity = parent.EntityID
	}
	if p.StatusErr == nil || errors.Is(p.StatusErr, proctable.ErrTexts) { // without its groups
		c.status(r, st)
	}
	c.miss(r, "status", p.StatusErr)
	c.exe(r, p)
	if p.CmdlineErr == nil || len(p.Cmdline) > 0 {
		c.arguments(r, p)
	}
	c.miss(r, "cmdline", p.CmdlineErr)
	c.miss(r, "fd", p.FDsErr)
	c.miss(r, "ns", p.NetNSErr)
}

// arguments keeps a command line, masked. The table has counted its text, but
// neither what masks add nor the lists of very short arguments: where there is no
// room for those, the beginning of the text stays.
func (c *processReader) arguments(r *row.Process, p *proctable.Process) {
	args := c.mask.Args(proc.Strings(p.Cmdline))
	line := strings.Join(args, " ")
	if more := sizeOfTexts(args) + len(line) - 2*len(p.Cmdline); more <= 0 || c.ps.Take(more) {
		r.Args, r.Command = args, line
		return
	}
	r.Command = strings.Clone(line[:min(len(line), maxLeftLine)])
	c.linesLeft++
	c.lineBytes += int64(len(line) - len(r.Command))
	c.miss(r, "cmdline", proctable.ErrTexts)
}

// maxLeftLine is what stays of a command line whose masked form has no room.
const maxLeftLine = 256

// sizeOfTexts is what a list of texts takes of memory.
func sizeOfTexts(list []string) int {
	n := 0
	for _, s := range list {
		n += 16 + len(s)
	}
	return n
}

func (c *processReader) status(r *row.Process, st *proc.Status) {
	r.RealUID, r.EffectiveUID, r.SavedUID, r.FSUID = id(st.UID[0]), id(st.UID[1]), id(st.UID[2]), id(st.UID[3])
	r.RealGID, r.EffectiveGID, r.SavedGID, r.FSGID = id(st.GID[0]), id(st.GID[1]), id(st.GID[2]), id(st.GID[3])
	r.User, r.RealUser = c.users[st.UID[1]], c.users[st.UID[0]]
	for _, g := range st.Groups {
		r.Groups = append(r.Groups, id(g))
	}
	if len(st.NSPID) > 1 {
		r.NSPID = strings.Trim(fmt.Sprint(st.NSPID), "[]")
	}
	if st.Umask >= 0 {
		r.Umask = fmt.Sprintf("%04o", st.Umask)
	}
	if st.Seccomp >= 0 && st.Seccomp < 3 {
		r.Seccomp = [...]string{"none", "strict", "filter"}[st.Seccomp]
	}
	eff, prm := c.capabilities(st.CapEff), c.capabilities(st.CapPrm)
	r.CapEffective, r.CapEff, r.CapPrm = eff.names, eff.hex, prm.hex
	r.CapBnd, r.CapInh, r.CapAmb = c.capabilities(st.CapBnd).hex, c.capabilities(st.CapInh).hex, c.capabilities(st.CapAmb).hex
}

// id is a user's or group's number as tables have it: a text, so that none is not 0.
func id(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// exe takes the link's text apart.
func (c *processReader) exe(r *row.Process, p *proctable.Process) {
	if r.KernelThread || p.Stat.State == 'Z' || p.Stat.State == 'X' {
		return // it runs no file, or no more
	}
	path, deleted := strings.CutSuffix(p.Exe, deletedMark)
	r.Executable, r.ExeDeleted = path, deleted
	if strings.HasPrefix(path, "/memfd:") && deleted {
		r.ExeMemfd = true
	}
	c.miss(r, "exe", p.ExeErr)
}

// terminal is the name of a controlling terminal, as ps has it.
func terminal(major, minor uint32) string {
	switch {
	case major == 0 && minor == 0:
		return ""
	case major == 4 && minor < 64:
		return fmt.Sprintf("tty%d", minor)
	case major == 4:
		return fmt.Sprintf("ttyS%d", minor-64)
	case major >= 136 && major < 144:
		return fmt.Sprintf("pts/%d", (major-136)<<8+minor)
	}
	return fmt.Sprintf("%d:%d", major, minor)
}
