package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// The errors of reading, beside those of the system (fs.ErrNotExist,
// fs.ErrPermission and the rest, which errors.Is finds in what the methods return).
var (
	// ErrTruncated comes beside data: there is more than the bound allows.
	ErrTruncated = errors.New("longer than its bound")
	// ErrNotRegular says that a name stands for something other than a regular file.
	ErrNotRegular = errors.New("not a regular file")
	// ErrRemote says that a file lies on a network or user-space file system.
	ErrRemote = errors.New("on a network or user-space file system")
)

// Gone reports whether err says that what was read is no more: the name is not
// there, or its process has ended.
func Gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// OpenWait is how long opening a file, or reading its facts, may take before it is abandoned.
const OpenWait = 2 * time.Second

// Tree is a directory held open. Names are slash-separated, relative to it
// ("." is itself), and never lead out of it. Safe for concurrent use.
type Tree struct {
	handle   handle
	path     string    // as people see it: "/", "/proc/123"
	kernel   bool      // procfs or sysfs itself: its files are the kernel's, so they are opened at once
	live     bool      // links of processes are magic links
	root     *Tree     // where an absolute link of a fixture's process leads
	patience *Patience // for what may block
	cleanup  runtime.Cleanup
}

// Path is where the tree is, for people and ledgers.
func (t *Tree) Path() string { return t.path }

// Name is the full path of a name in the tree, for people and ledgers.
func (t *Tree) Name(name string) string { return path.Join(t.path, name) }

// ReadFile reads a file of at most max bytes. A longer one gives its first max
// bytes and [ErrTruncated]. Symbolic links are followed inside the tree. The file's own size is not
// believed: procfs says 0.
func (t *Tree) ReadFile(name string, max int64) ([]byte, error) {
	var b Buffer
	data, err := b.Read(t, name, max)
	return data, err
}

// Buffer is memory for reading many small files one after another. The zero
// value is ready. Not safe for concurrent use.
type Buffer struct{ b []byte }

// Read is [Tree.ReadFile] into the buffer: the bytes are good until the next Read.
func (b *Buffer) Read(t *Tree, name string, max int64) ([]byte, error) {
	r, err := t.openRead(name)
	if err != nil {
		return nil, t.fail("read", name, err)
	}
	defer r.close()
	if b.b == nil {
		b.b = make([]byte, 4096)
	}
	n := 0
	for {
		if n == len(b.b) {
			b.b = append(b.b, make([]byte, len(b.b))...)
		}
		room := b.b[n:]
		if int64(len(room)) > max+1-int64(n) {
			room = room[:max+1-int64(n)]
		}
		k, err := r.read(room)
		n += max0(k)
		switch {
		case int64(n) > max:
			return b.b[:max], t.fail("read", name, ErrTruncated)
		case err != nil:
			return b.b[:n], t.fail("read", name, err)
		case k == 0:
			return b.b[:n], nil
		}
	}
}

// Lines reads a file line by line, without the newline and without holding it
// whole, until f returns an error, which it returns. Of a file over max bytes the
// rest is left out, with [ErrTruncated]; a line over 64 KiB is cut.
func (b *Buffer) Lines(t *Tree, name string, max int64, f func(line []byte) error) error {
	r, err := t.openRead(name)
	if err != nil {
		return t.fail("read", name, err)
	}
	defer r.close()
	if len(b.b) < maxLine {
		b.b = make([]byte, maxLine)
	}
	held, total := 0, int64(0)
	for {
		k, err := r.read(b.b[held:])
		held += max0(k)
		if total += int64(max0(k)); total > max {
			return t.fail("read", name, ErrTruncated)
		}
		rest := b.b[:held]
		for {
			line, after, found := bytes.Cut(rest, []byte("\n"))
			if !found && (k > 0 && err == nil && len(rest) < len(b.b) || len(rest) == 0) {
				break
			}
			if err := f(line); err != nil {
				return err
			}
			rest = after
		}
		held = copy(b.b, rest)
		if err != nil {
			return t.fail("read", name, err)
		}
		if k == 0 {
			return nil
		}
	}
}

// maxLine bounds a line.
const maxLine = 64 << 10

func max0(n int) int {
	if n < 0 {
		return 0
	}
	return n
}

// openRead opens a file for [Buffer.Read].
func (t *Tree) openRead(name string) (raw, error) {
	defer runtime.KeepAlive(t)
	if t.kernel {
		return t.handle.openKernel(clean(name))
	}
	r, _, _, err := t.openSafe(name, true)
	return r, err
}

// ReadDir lists a directory in the kernel's order, without "." and "..". More
// than max entries give the first max and [ErrTruncated].
func (t *Tree) ReadDir(name string, max int) ([]Dirent, error) {
	var list []Dirent
	err := t.EachDirent(name, func(e Dirent) error {
		if len(list) == max {
			return ErrTruncated
		}
		list = append(list, e)
		return nil
	})
	return list, err
}

// EachDirent calls f for each entry of a directory, "." and ".." aside, until f
// returns an error, which it returns.
func (t *Tree) EachDirent(name string, f func(Dirent) error) error {
	err := t.handle.readDir(clean(name), !t.kernel, f)
	runtime.KeepAlive(t)
	if err != nil {
		return t.fail("list", name, err)
	}
	return nil
}

// Readlink is a symbolic link's target, as bytes: of procfs's magic links the
// text that the kernel makes ("socket:[123]", "/bin/sh (deleted)").
func (t *Tree) Readlink(name string) (string, error) {
	s, err := t.handle.readLink(clean(name))
	runtime.KeepAlive(t)
	if err != nil {
		return "", t.fail("read link", name, err)
	}
	return s, nil
}

// Lstat is what the system says of a name; a link is not followed.
func (t *Tree) Lstat(name string) (Stat, error) {
	s, err := t.handle.stat(clean(name), false, false)
	runtime.KeepAlive(t)
	if err != nil {
		return Stat{}, t.fail("stat", name, err)
	}
	return s, nil
}

// Stat is what the system says of a name; links are followed inside the tree.
func (t *Tree) Stat(name string) (Stat, error) {
	s, err := t.handle.stat(clean(name), false, true)
	runtime.KeepAlive(t)
	if err != nil {
		return Stat{}, t.fail("stat", name, err)
	}
	return s, nil
}

// StatLink is what the system says of the file that a link of a process leads to
// (`exe`, `cwd`, `fd/7`, `ns/net`): of the running inode, whatever its path leads to now. On a tree
// of files it is what the link's target is there.
func (t *Tree) StatLink(name string) (Stat, error) {
	if !t.live {
		dir, target, err := t.follow(name)
		if err != nil {
			return Stat{}, err
		}
		return dir.Lstat(target)
	}
	s, err := t.handle.stat(clean(name), true, false)
	runtime.KeepAlive(t)
	if err != nil {
		return Stat{}, t.fail("stat", name, err)
	}
	return s, nil
}

// Open opens a regular file for reading. The last part of the name is not
// followed when it is a link: what is opened is what the name says.
func (t *Tree) Open(name string) (*File, error) {
	return t.open(name, func() (raw, Stat, bool, error) { return t.openSafe(name, false) }, "open")
}

// OpenLink opens the regular file that a link of a process leads to (`exe`,
// `fd/7`): the running inode, also when no path leads to it any more.
func (t *Tree) OpenLink(name string) (*File, error) {
	if !t.live {
		dir, target, err := t.follow(name)
		if err != nil {
			return nil, err
		}
		return dir.Open(target)
	}
	return t.open(name, func() (raw, Stat, bool, error) { return t.handle.openMagic(clean(name)) }, "open link")
}

// follow is where a link of a fixture's process leads: absolute below the root.
func (t *Tree) follow(name string) (*Tree, string, error) {
	target, err := t.Readlink(name)
	if err != nil {
		return nil, "", err
	}
	target = strings.TrimSuffix(target, " (deleted)")
	if t.root == nil || !strings.HasPrefix(target, "/") {
		return nil, "", t.fail("follow", name, ErrNotRegular)
	}
	return t.root, target[1:], nil
}

func (t *Tree) open(name string, open func() (raw, Stat, bool, error), verb string) (*File, error) {
	type opened struct {
		r       raw
		s       Stat
		touched bool
		err     error
	}
	result := make(chan opened, 1)
	err := t.patience.Do(context.Background(), OpenWait, func(*Beat) {
		r, s, touched, err := open()
		runtime.KeepAlive(t)
		result <- opened{r, s, touched, err}
	})
	if err != nil {
		go func() { // should it ever open, nobody wants it
			if o := <-result; o.err == nil {
				o.r.close()
			}
		}()
		return nil, t.fail(verb, name, err)
	}
	o := <-result
	if o.err != nil {
		return nil, t.fail(verb, name, o.err)
	}
	return &File{raw: o.r, path: t.Name(name), stat: o.s, touched: o.touched}, nil
}

func (t *Tree) openSafe(name string, follow bool) (raw, Stat, bool, error) {
	return t.handle.openRegular(clean(name), follow, t.live)
}

// Sub is the tree of a directory below, held open. Close it.
func (t *Tree) Sub(name string) (*Tree, error) {
	h, err := t.handle.sub(clean(name))
	runtime.KeepAlive(t)
	if err != nil {
		return nil, t.fail("open directory", name, err)
	}
	root := t.root
	if root == nil {
		root = t
	}
	s := &Tree{handle: h, path: t.Name(name), kernel: t.kernel, live: t.live, root: root, patience: t.patience}
	s.cleanup = runtime.AddCleanup(s, func(h handle) { h.close() }, h)
	return s, nil
}

// SubLink is the tree of the directory that a link of a process leads to
// (`root`): links in it resolve inside it. On a tree of files it is the link's
// target there. Close it.
func (t *Tree) SubLink(name string) (*Tree, error) {
	if !t.live {
		dir, target, err := t.follow(name)
		if err != nil {
			return nil, err
		}
		return dir.Sub(target)
	}
	h, err := t.handle.subMagic(clean(name))
	runtime.KeepAlive(t)
	if err != nil {
		return nil, t.fail("open directory", name, err)
	}
	s := &Tree{handle: h, path: t.Name(name), live: true, patience: t.patience}
	s.cleanup = runtime.AddCleanup(s, func(h handle) { h.close() }, h)
	return s, nil
}

// Close lets go of the directory. A tree made by Sub that is not closed goes
// with the last reference to it: that is for those who can't know whether a
// blocked read still holds it.
func (t *Tree) Close() error {
	t.cleanup.Stop()
	return t.handle.close()
}

func (t *Tree) fail(verb, name string, err error) error {
	return fmt.Errorf("%s %s: %w", verb, t.Name(name), err)
}

// clean makes a name relative; what it can't be made to lead out of is the
// kernel's business (RESOLVE_BENEATH, RESOLVE_IN_ROOT), not this function's.
func clean(name string) string {
	name = strings.TrimLeft(name, "/")
	if name == "" {
		return "."
	}
	return name
}

// File is a regular file, open for reading.
type File struct {
	raw     raw
	path    string
	stat    Stat
	touched bool
}

var _ io.ReaderAt = (*File)(nil)

// Read reads on from where the last Read ended.
func (f *File) Read(p []byte) (int, error) {
	n, err := f.raw.read(p)
	if err != nil {
		return max0(n), fmt.Errorf("read %s: %w", f.path, err)
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// ReadAt reads at an offset, as io.ReaderAt says.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		k, err := f.raw.readAt(p[n:], off+int64(n))
		if err != nil {
			return n, fmt.Errorf("read %s at %d: %w", f.path, off+int64(n), err)
		}
		if k == 0 {
			return n, io.EOF
		}
		n += k
	}
	return n, nil
}

// Path is where the file was opened, as bytes.
func (f *File) Path() string { return f.path }

// Stat is what the system said of the file before it was opened for reading.
func (f *File) Stat() Stat { return f.stat }

// Restat asks again: what differs from [File.Stat] changed while it was read.
func (f *File) Restat() (Stat, error) {
	s, err := f.raw.stat()
	if err != nil {
		return Stat{}, fmt.Errorf("stat %s: %w", f.path, err)
	}
	return s, nil
}

// ATimeTouched reports whether reading may have set the file's access time.
func (f *File) ATimeTouched() bool { return f.touched }

// Close closes the file.
func (f *File) Close() error { return f.raw.close() }
