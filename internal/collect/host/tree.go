package host

import (
	"context"
	"errors"
	"fmt"
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

// OpenTarget is [Tree.Open], but where the name is a symbolic link it opens the
// regular file that the link leads to inside the tree; [File.Linked] then says so.
func (t *Tree) OpenTarget(name string) (*File, error) {
	look, err := t.Lstat(name)
	if err != nil {
		return nil, err
	}
	if look.Kind() != Link {
		return t.Open(name)
	}
	f, err := t.open(name, func() (raw, Stat, bool, error) { return t.openSafe(name, true) }, "open")
	if err == nil {
		f.linked = true
	}
	return f, err
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
