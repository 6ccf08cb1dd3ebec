package host

import (
	"context"
	"errors"
	"os"
)

// ErrNoNamespace says that a name is not a namespace of the kernel.
var ErrNoNamespace = errors.New("not a namespace")

// Usage is how full a file system is, and which mount said so.
type Usage struct {
	MountID   uint64 // as in mountinfo; 0 where the kernel does not tell (before 5.8)
	Dev       Dev
	Total     uint64 // bytes
	Free      uint64 // bytes
	Available uint64 // bytes, to users that are not root
	Files     uint64 // inodes in all; 0 where the file system has no fixed number
	FilesFree uint64
}

// Inside is the tree of the directory that a link of a process leads to (`root`,
// `cwd`): the file system as that process has it, seen without entering its
// namespaces. Names in it never lead out of it. Close it.
func (t *Tree) Inside(name string) (*Tree, error) {
	if !t.live {
		dir, target, err := t.follow(name)
		if err != nil {
			return nil, err
		}
		return dir.Sub(target)
	}
	h, err := t.handle.inside(clean(name))
	if err != nil {
		return nil, t.fail("open directory", name, err)
	}
	return &Tree{handle: h, path: t.Name(name), live: true, patience: t.patience}, nil
}

// OpenNamespace opens a namespace for setns: what a link of a process leads to
// (`ns/net`) in a tree of procfs, or a place where one is mounted in another
// tree. Close the file.
func (t *Tree) OpenNamespace(name string) (*os.File, error) {
	return await(t, "open namespace", name, func() (*os.File, error) { return t.handle.openNamespace(clean(name), t.kernel) },
		func(f *os.File) { f.Close() })
}

// Usage asks the file system at name how full it is.
func (t *Tree) Usage(name string) (Usage, error) {
	return await(t, "statfs", name, func() (Usage, error) { return t.handle.usage(clean(name)) }, func(Usage) {})
}

// await runs work that may block on a mount that never answers. What comes too
// late is dropped.
func await[T any](t *Tree, verb, name string, work func() (T, error), drop func(T)) (T, error) {
	type answer struct {
		v   T
		err error
	}
	result := make(chan answer, 1)
	err := t.patience.Do(context.Background(), OpenWait, func(*Beat) {
		v, err := work()
		result <- answer{v, err}
	})
	var none T
	if errors.Is(err, ErrAbandoned) {
		go func() {
			if a := <-result; a.err == nil {
				drop(a.v)
			}
		}()
	}
	if err != nil {
		return none, t.fail(verb, name, err)
	}
	a := <-result
	if a.err != nil {
		return none, t.fail(verb, name, a.err)
	}
	return a.v, nil
}
