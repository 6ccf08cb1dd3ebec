package linux

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/collect/linux/proctable"
	"swab/internal/parse/proc"
	"swab/internal/row"
)

// Maps gathers the memory maps of note: writable and executable at once,
// executable without a file, of a deleted or in-memory file, or of a file whose path leads
// to another one now.
//
// Source: /proc/PID/maps, read line by line; for the last kind statx of the path
// and of /proc/PID/map_files, after everything volatile is in memory.
//
// Privilege: CAP_SYS_PTRACE for other users' processes; CAP_SYS_ADMIN or
// CAP_CHECKPOINT_RESTORE for map_files, without which nothing is called replaced.
//
// A process that ends meanwhile gives what was read. Of more than 64 MiB of maps
// or 2,000 of note in one process the rest is left out, and what there is no room
// for in all (proctable.MaxKept).
func Maps() collect.Collector { return memoryMaps{} }

type memoryMaps struct{}

func (memoryMaps) Spec() collect.Spec {
	return collect.Spec{Item: "linux.maps", Source: []string{"/proc/PID/maps", "/proc/PID/map_files/*"}}
}

// Bounds of one process.
const (
	maxMaps      = 64 << 20 // bytes of its maps
	maxMapsNoted = 2000
)

func (memoryMaps) Collect(ctx context.Context, h *host.Host, out collect.Sink) error {
	ps, err := proctable.Snapshot(ctx, h)
	if err != nil {
		return err
	}
	crowded(ps, out, 0)
	c := &mapReader{h: h, out: out, ps: ps, used: make([][]use, len(ps.List)), known: map[mapped]int32{}}
	proctable.Each(ctx, ps, c.read, c.rows, nil)
	if n := c.left.Load(); n > 0 {
		out.Truncated(fmt.Sprintf("%d executable files in memory that were not compared with what their paths lead to: there was no room for all", n), 0, 0)
	}
	if n := c.dropped.Load(); n > 0 {
		out.Truncated("maps of note whose paths there was no room for", n, 0)
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := out.Taken(ctx); err != nil {
		return err
	}
	c.replaced(ctx)
	return context.Cause(ctx)
}

// mapReader is the collector at work.
type mapReader struct {
	h    *host.Host
	out  collect.Sink
	ps   *proctable.Processes
	used [][]use // executable files of each process

	mu     sync.Mutex
	images []mapped
	known  map[mapped]int32 // where in images

	left    atomic.Int64 // uses of files that are not kept
	dropped atomic.Int64 // maps of note that are not kept
}

// mapped is an executable file in the memory of processes, to be compared with
// what its path leads to: many processes have the same.
type mapped struct {
	ns    uint64 // of mounts, in which the path holds
	major uint32
	minor uint32
	inode uint64
	path  string
}

// perImage is what one takes without its path: itself, twice, and its verdict.
const perImage = 2*40 + 32

// use is a process's first map of such a file.
type use struct {
	start, end, offset uint64
	image              int32
}

const perUse = 32

// use keeps a map of an executable file, if there is room.
func (c *mapReader) use(m *mapsOf, p *proctable.Process, found *proc.Map) bool {
	if len(m.used) == maxMapsNoted || !c.ps.Take(perUse) {
		return false
	}
	n, ok := c.image(mapped{p.MntNS, found.Major, found.Minor, found.Inode, found.Path})
	if ok {
		m.used = append(m.used, use{found.Start, found.End, found.Offset, n})
	}
	return ok
}

// image is the number of a file; false if there is no room for another.
func (c *mapReader) image(im mapped) (int32, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n, ok := c.known[im]; ok {
		return n, true
	}
	if !c.ps.Take(perImage + len(im.path)) {
		return 0, false
	}
	n := int32(len(c.images))
	c.images, c.known[im] = append(c.images, im), n
	return n, true
}

// mapsOf is what is read of one process.
type mapsOf struct {
	noted []proc.Map
	why   []string
	held  int // bytes of noted, which are counted until they are written
	used  []use
	cut   bool
	err   error
}

// perMap is what a map of note takes without its path.
const perMap = 120

// read finds a process's maps of note.
func (c *mapReader) read(s *proctable.Scratch, p *proctable.Process, dir *host.Tree, beat *host.Beat) (*mapsOf, error) {
	m := &mapsOf{}
	if p.Stat.KernelThread() {
		return m, nil
	}
	reason := ""
	keep := func(found *proc.Map, path []byte) bool {
		reason = why(found, path)
		return reason != "" || found.Inode != 0 && found.Perms[2] == 'x'
	}
	last := uint64(0)
	m.err = s.Buf.Lines(dir, "maps", maxMaps, func(line []byte) error {
		beat.Tick()
		found, err := proc.ParseMap(line, keep)
		if err != nil {
			return err
		}
		if found.Inode != 0 && found.Perms[2] == 'x' && !found.Deleted && found.Inode != last {
			last = found.Inode
			if !c.use(m, p, &found) {
				c.left.Add(1)
			}
		}
		switch size := perMap + len(found.Path); {
		case reason == "":
		case len(m.noted) == maxMapsNoted:
			m.cut = true
		case !c.ps.Take(size):
			c.dropped.Add(1)
		default:
			m.held += size
			m.noted, m.why = append(m.noted, found), append(m.why, reason)
		}
		return nil
	})
	return m, nil
}

// shared are the kernel's names for shared memory that never had a file of its
// own: that it is "deleted" says nothing.
var shared = []string{"/SYSV", "/dev/zero", "/[aio]", "/anon_hugepage", "/drm mm object", "/i915", "/dmabuf"}

// why says what is of note about a map; "" when nothing is.
func why(m *proc.Map, path []byte) string {
	var reasons []string
	exec := m.Perms[2] == 'x'
	if exec && m.Perms[1] == 'w' {
		reasons = append(reasons, "writable and executable")
	}
	name := string(path)
	switch {
	case exec && m.Inode == 0 && !strings.HasPrefix(name, "[v") && name != "[uprobes]":
		reasons = append(reasons, "executable without a file")
	case strings.HasPrefix(name, "/memfd:"):
		reasons = append(reasons, "memory file")
	case m.Deleted:
		for _, s := range shared {
			if strings.HasPrefix(name, s) {
				return strings.Join(reasons, ", ")
			}
		}
		reasons = append(reasons, "deleted")
	}
	return strings.Join(reasons, ", ")
}

// rows writes what was found in a process.
func (c *mapReader) rows(p *proctable.Process, m *mapsOf, err error) {
	if err == nil {
		err = m.err
	}
	switch {
	case err == nil || host.Gone(err):
	case errors.Is(err, host.ErrTruncated):
		c.out.Truncated(fmt.Sprintf("more than %d bytes of maps in a process", maxMaps), 0, 0)
	default:
		c.out.Missing("/proc/PID/maps", err)
	}
	if m == nil {
		return
	}
	if m.cut {
		c.out.Truncated(fmt.Sprintf("more than %d maps of note in a process", maxMapsNoted), 0, 0)
		c.out.Note("Process %d has more maps of note than the %d that are listed.", p.PID, maxMapsNoted)
	}
	if err == nil && len(m.noted) == 0 && !m.cut && !p.Stat.KernelThread() { // which has no maps
		c.out.Clean()
	}
	c.used[p.Index] = slices.Clone(m.used)
	defer c.ps.Give(m.held)
	for i := range m.noted {
		r := c.row(p, &m.noted[i], m.why[i])
		if c.out.Row("maps", &r) != nil {
			return
		}
	}
}

func (c *mapReader) row(p *proctable.Process, m *proc.Map, why string) row.Map {
	r := row.Map{
		PID: p.PID, Name: p.Name(), Why: why, Start: fmt.Sprintf("%x", m.Start), End: fmt.Sprintf("%x", m.End),
		Size: m.End - m.Start, Perms: m.Perms, Offset: m.Offset, Path: m.Path, Inode: m.Inode,
		Own: p.PID == c.h.Self.PID, EntityID: p.EntityID,
	}
	if m.Inode != 0 {
		r.Device = host.Dev{Major: m.Major, Minor: m.Minor}.String()
	}
	return r
}

// replaced compares the executable files in memory with what their paths lead
// to, each once.
func (c *mapReader) replaced(ctx context.Context) {
	c.mu.Lock()
	images := c.images // a read that was left behind may still add to them
	c.mu.Unlock()
	verdicts := make(map[int32]uint64, len(images))
	for i, used := range c.used {
		p := c.ps.List[i]
		for _, u := range used {
			if ctx.Err() != nil {
				return
			}
			im := &images[u.image]
			present, known := verdicts[u.image]
			if !known {
				present = c.present(ctx, p, im, u)
				verdicts[u.image] = present
			}
			if present == 0 {
				continue
			}
			m := proc.Map{Start: u.start, End: u.end, Perms: "r-xp", Offset: u.offset, Major: im.major, Minor: im.minor, Inode: im.inode, Path: im.path}
			r := c.row(p, &m, "replaced")
			r.Present = present
			if c.out.Row("maps", &r) != nil {
				return
			}
		}
	}
}

// present is the inode that a mapped file's path leads to now, if it is another
// one than that in memory; else 0. The kernel's maps tell other numbers than
// statx on overlay and btrfs, so both are asked of statx before anything is said.
func (c *mapReader) present(ctx context.Context, p *proctable.Process, im *mapped, u use) uint64 {
	found := make(chan uint64, 1)
	err := c.h.Patience.Do(ctx, host.OpenWait, func(*host.Beat) {
		inode := uint64(0)
		defer func() { found <- inode }()
		root, release, err := rootOf(c.h, c.ps, p)
		if err != nil {
			return
		}
		defer release()
		now, err := root.Stat(im.path)
		if err != nil || now.Inode == im.inode {
			return
		}
		dir, done, err := p.Open()
		if err != nil {
			return
		}
		defer done()
		memory, err := dir.StatLink(fmt.Sprintf("map_files/%x-%x", u.start, u.end))
		if err == nil && (memory.Inode != now.Inode || memory.Dev != now.Dev) {
			inode = now.Inode
		}
	})
	if err != nil {
		return 0
	}
	return <-found
}
