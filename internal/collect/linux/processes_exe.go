package linux

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/collect/linux/proctable"
	"swab/internal/row"
)

// Bounds of hashing and recovering.
const (
	maxHashed       = 512 << 20 // of a larger executable the first and last MiB are hashed
	hashedEnds      = 1 << 20
	maxRecovered    = 16 << 20 // a file
	maxAllRecovered = 64 << 20 // all files
)

// image is what several processes run: one inode in one state, under one path.
type image struct {
	key  imageKey
	rows []int // of those who run it
}

type imageKey struct {
	device string
	inode  uint64
	mtime  int64
	path   string
	mntNS  uint64
}

// images groups the processes by what they run.
func (c *processReader) images() []*image {
	var list []*image
	byKey := map[imageKey]*image{}
	for i := range c.rows {
		r := &c.rows[i]
		if r.ExeInode == 0 {
			continue
		}
		key := imageKey{r.ExeDevice, r.ExeInode, r.ExeModified.UnixNano(), r.Executable, r.MntNS}
		if byKey[key] == nil {
			byKey[key] = &image{key: key}
			list = append(list, byKey[key])
		}
		byKey[key].rows = append(byKey[key].rows, i)
	}
	return list
}

// hash hashes each executable once, and looks whether its path still leads to it.
func (c *processReader) hash(ctx context.Context) {
	list := c.images()
	type sum struct {
		hex     string
		partial bool
	}
	var sums sync.Map // imageKey without path and namespace → func() (sum, error)
	host.Parallel(ctx, len(list), func() func(int) {
		buf := make([]byte, 128<<10)
		return func(i int) {
			im := list[i]
			same := im.key
			same.path, same.mntNS = "", 0
			once, _ := sums.LoadOrStore(same, sync.OnceValues(func() (sum, error) {
				s, partial, err := c.hashImage(ctx, im, buf)
				return sum{s, partial}, err
			}))
			s, err := once.(func() (sum, error))()
			replaced := c.replaced(ctx, im)
			for _, k := range im.rows {
				r := &c.rows[k]
				r.SHA256, r.HashPartial, r.ExeReplaced = s.hex, s.partial, replaced
				if err != nil && !host.Gone(err) {
					r.Denied = join(r.Denied, "hash: "+reason(err))
				}
			}
			if err != nil {
				c.out.Missing("/proc/PID/exe", err)
			}
		}
	})
}

// hashImage hashes what the first process that still runs it runs.
func (c *processReader) hashImage(ctx context.Context, im *image, buf []byte) (sum string, partial bool, err error) {
	for _, i := range im.rows {
		sum, partial, err = c.hashExe(ctx, c.ps.List[i], buf)
		if err == nil || !host.Gone(err) && !errors.Is(err, proctable.ErrReused) {
			return sum, partial, err
		}
	}
	return "", false, err
}

func (c *processReader) hashExe(ctx context.Context, p *proctable.Process, buf []byte) (string, bool, error) {
	f, err := openOf(p, "exe")
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	return hashFile(ctx, f, buf)
}

// openOf opens what a link of a process leads to.
func openOf(p *proctable.Process, link string) (*host.File, error) {
	dir, release, err := p.Open()
	if err != nil {
		return nil, err
	}
	defer release()
	return dir.OpenLink(link)
}

// hashFile hashes a file, or both ends of a large one, which is then partial.
func hashFile(ctx context.Context, f *host.File, buf []byte) (string, bool, error) {
	size := f.Stat().Size
	sum := sha256.New()
	parts := []*io.SectionReader{io.NewSectionReader(f, 0, maxHashed)}
	partial := size > maxHashed
	if partial {
		parts = []*io.SectionReader{io.NewSectionReader(f, 0, hashedEnds), io.NewSectionReader(f, size-hashedEnds, hashedEnds)}
	}
	for _, part := range parts {
		for {
			n, err := part.Read(buf)
			sum.Write(buf[:n])
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return "", partial, err
			}
			if ctx.Err() != nil {
				return "", partial, context.Cause(ctx)
			}
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), partial, nil
}

// replaced reports whether the image's path leads to another file now, as its
// processes see it. It asks under patience: the path may lead anywhere.
func (c *processReader) replaced(ctx context.Context, im *image) bool {
	r := &c.rows[im.rows[0]]
	if r.ExeMemfd || r.Executable == "" {
		return false
	}
	now := make(chan host.Stat, 1)
	err := c.h.Patience.Do(ctx, host.OpenWait, func(*host.Beat) {
		defer close(now)
		root, release, err := rootOf(c.h, c.ps, c.ps.List[im.rows[0]])
		if err != nil {
			return
		}
		defer release()
		if s, err := root.Stat(r.Executable); err == nil {
			now <- s
		}
	})
	if err != nil {
		return false
	}
	s, ok := <-now
	return ok && (s.Inode != im.key.inode || s.Dev.String() != im.key.device)
}

// rootOf is the tree in which the paths that the kernel tells of a process hold:
// the host's, or that of the process's own mount namespace.
func rootOf(h *host.Host, ps *proctable.Processes, p *proctable.Process) (*host.Tree, func(), error) {
	self, ok := ps.Process(h.Self.PID)
	if !h.Live || p.MntNS == 0 || ok && self.MntNS == p.MntNS {
		return h.Root, func() {}, nil
	}
	dir, release, err := p.Open()
	if err != nil {
		return nil, nil, err
	}
	defer release()
	root, err := dir.SubLink("root")
	if err != nil {
		return nil, nil, err
	}
	return root, func() { root.Close() }, nil
}

// unlinked reports whether a link's text that ends in " (deleted)" means that:
// a file may be called so. The kernel marks a name that is gone; where the file
// has others, the name is looked up. It may block.
func unlinked(h *host.Host, ps *proctable.Processes, p *proctable.Process, text string, s host.Stat) bool {
	if s.Links == 0 {
		return true
	}
	root, release, err := rootOf(h, ps, p)
	if err != nil {
		return true
	}
	defer release()
	now, err := root.Lstat(text)
	return err != nil || now.Inode != s.Inode || now.Dev != s.Dev
}

const deletedMark = " (deleted)"

// recover copies executables that no path leads to, those in memory first, and
// then what the processes that run them hold open: of two processes, the open
// files of one must not take the place of the other's executable.
func (c *processReader) recover(ctx context.Context) error {
	rec := &recovery{c: c, seen: map[string]bool{}, left: maxAllRecovered, buf: make([]byte, 128<<10)}
	memory := func(r *row.Process) bool { return r.ExeMemfd }
	deleted := func(r *row.Process) bool { return !r.ExeMemfd }
	each := func(*row.Process) bool { return true }
	for _, pass := range []struct {
		of   func(*row.Process) bool
		take func(context.Context, *proctable.Process, *row.Process) error
	}{{memory, rec.executable}, {deleted, rec.executable}, {each, rec.openFiles}} {
		for i := range c.rows {
			r := &c.rows[i]
			if !r.ExeDeleted || r.Own || !pass.of(r) {
				continue
			}
			if err := context.Cause(ctx); err != nil {
				return err
			}
			if err := pass.take(ctx, c.ps.List[i], r); errors.Is(err, collect.ErrFull) {
				return nil // the sink has recorded it
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// recovery copies within its bounds, each file once.
type recovery struct {
	c    *processReader
	seen map[string]bool // device and inode
	left int64
	buf  []byte
}

func (rec *recovery) executable(ctx context.Context, p *proctable.Process, r *row.Process) error {
	return rec.file(ctx, p, "exe", fmt.Sprintf("recovered/%d-exe", p.PID), "procfs-exe", r.Executable)
}

func (rec *recovery) openFiles(ctx context.Context, p *proctable.Process, _ *row.Process) error {
	for _, fd := range p.FDs {
		if fd.Kind != proctable.Path {
			continue
		}
		target, err := p.Target(fd)
		if err != nil || host.Special(target) {
			continue // closed since, or nothing that can be copied
		}
		link := fmt.Sprintf("fd/%d", fd.Number)
		if err := rec.file(ctx, p, link, fmt.Sprintf("recovered/%d-fd%d", p.PID, fd.Number), "procfs-fd", target); err != nil {
			return err
		}
	}
	return nil
}

// file copies what a link of a process leads to, and writes its row. It returns
// only what ends the recovery.
func (rec *recovery) file(ctx context.Context, p *proctable.Process, link, name, method, path string) error {
	f, err := openOf(p, link)
	if errors.Is(err, host.ErrNotRegular) || err != nil && host.Gone(err) && link != "exe" {
		return nil
	}
	if err != nil {
		name, _, _ := strings.Cut(link, "/")
		rec.c.out.Missing("/proc/PID/"+name, err)
		return nil
	}
	defer f.Close()
	s := f.Stat()
	id := fmt.Sprintf("%s/%d", s.Dev, s.Inode)
	if rec.seen[id] || s.Size == 0 {
		return nil
	}
	rec.seen[id] = true
	deleted := link == "exe" || rec.deleted(ctx, p, path, s)
	if deleted {
		path = strings.TrimSuffix(path, deletedMark)
	}
	r := row.Recovered{
		PID: p.PID, Name: p.Name(), Via: link, Path: path, Deleted: deleted, Size: s.Size, Inode: s.Inode, Device: s.Dev.String(),
		Modified: s.MTime, Changed: s.CTime, Created: s.BTime, EntityID: p.EntityID,
	}
	if link != "exe" {
		head := rec.buf[:privateHead]
		n, _ := f.ReadAt(head, 0) // what can't be read is told when it is copied
		if privateName(path) || privateBytes(head[:n]) {
			r.Note = "not copied: keys, password hashes and tickets are never collected"
			rec.c.out.Missing("an open file that may hold a secret", collect.ErrExcluded)
			return rec.c.out.Row("recovered", &r)
		}
	}
	limit := min(maxRecovered, rec.left)
	if limit <= 0 {
		rec.c.out.Truncated(fmt.Sprintf("more than %d bytes of recovered files", int64(maxAllRecovered)), 0, s.Size)
		r.Note = "neither copied nor hashed: the bound on recovered files is reached"
		return rec.c.out.Row("recovered", &r)
	}
	// What is not copied whole is not read whole either: an open file may have
	// any size.
	if s.Size <= limit {
		if r.SHA256, _, err = hashFile(ctx, f, rec.buf); err != nil {
			r.Note = "hash: " + reason(err)
		}
	}
	err = rec.c.out.Recovered(f, name, method, limit)
	switch {
	case err == nil || errors.Is(err, collect.ErrChanged):
		r.Entry = "Processes/" + name
		rec.left -= min(limit, s.Size)
		if s.Size > limit {
			r.Note = join(r.Note, fmt.Sprintf("the first %d bytes were copied", limit))
		}
		if err != nil {
			r.Note = join(r.Note, "it changed while it was copied")
		}
	case errors.Is(err, collect.ErrFull):
		r.Note = join(r.Note, "not copied: a bound of the package is reached")
	default:
		r.Note = join(r.Note, "not copied whole: "+reason(err))
	}
	return rec.c.out.Row("recovered", &r)
}

// deleted reports whether an open file's name is gone. Looking whether a name that
// the kernel marks so leads to the file after all may block.
func (rec *recovery) deleted(ctx context.Context, p *proctable.Process, target string, s host.Stat) bool {
	if !strings.HasSuffix(target, deletedMark) {
		return false
	}
	gone := make(chan bool, 1)
	err := rec.c.h.Patience.Do(ctx, host.OpenWait, func(*host.Beat) { gone <- unlinked(rec.c.h, rec.c.ps, p, target, s) })
	return err != nil || <-gone
}
