package linux

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/collect/linux/proctable"
	"swab/internal/parse/mountinfo"
	"swab/internal/parse/proc"
)

// Bounds of the mount tables of one package.
const (
	maxMounts          = 100_000 // in all namespaces together
	maxMountNamespaces = 4096
)

// mountTable is what is mounted in one mount namespace, as one of its processes
// sees it.
type mountTable struct {
	inode   uint64 // of the namespace; 0 where it is not told
	pid     int
	process string
	mounts  []mountinfo.Mount
}

// mountTableSet is the tables of all mount namespaces, and what is missing.
type mountTableSet struct {
	list    []mountTable
	misses  []miss
	left    int64 // mounts over the bound
	hidden  int   // processes that did not tell their namespace
	denied  error
	bound   int // namespaces that are looked at
	skipped int // namespaces over the bound
}

// miss is something that could not be read.
type miss struct {
	name string
	err  error
}

// tell records what the tables lack.
func (set *mountTableSet) tell(out collect.Sink) {
	for _, m := range set.misses {
		out.Missing(m.name, m.err)
	}
	if set.hidden > 0 {
		out.Missing("mount namespace of a process", set.denied)
	}
	if set.left > 0 {
		out.Truncated(fmt.Sprintf("more than %d mounts", maxMounts), set.left, 0)
	}
	if set.skipped > 0 {
		out.Truncated(fmt.Sprintf("more than %d mount namespaces: %d were not looked at", set.bound, set.skipped), int64(set.skipped), 0)
	}
}

// mountTables reads /proc/PID/mountinfo of one process of each mount namespace,
// once for a package: the mounts, and the namespaces that are mounted.
func mountTables(ctx context.Context, h *host.Host) (*mountTableSet, error) {
	type key struct{}
	return host.Once(h, key{}, func() (*mountTableSet, error) { return readMountTables(ctx, h, maxMountNamespaces) })
}

func readMountTables(ctx context.Context, h *host.Host, bound int) (*mountTableSet, error) {
	ps, err := proctable.Snapshot(ctx, h)
	if err != nil {
		return nil, err
	}
	set := &mountTableSet{bound: bound}
	known := map[uint64]bool{}
	total := 0
	for _, p := range ps.List {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		total += set.add(h, p, known, maxMounts-total)
	}
	return set, nil
}

// add reads the table of a process's mount namespace, unless it is known, and
// returns how many mounts it has.
func (set *mountTableSet) add(h *host.Host, p *proctable.Process, known map[uint64]bool, room int) int {
	dir, release, err := p.Open()
	if err != nil {
		return 0 // it has ended
	}
	defer release()
	var inode uint64
	target, err := dir.Readlink("ns/mnt")
	switch {
	case err == nil:
		_, inode, _ = proc.Inode(target)
	case errors.Is(err, fs.ErrPermission):
		set.hidden++
		set.denied = cmp.Or(set.denied, err)
		return 0
	case h.Live:
		return 0 // it has ended
	default: // a tree of files need not tell namespaces: its first process stands for all
	}
	if known[inode] {
		return 0
	}
	if len(set.list) == set.bound {
		known[inode] = true
		set.skipped++
		return 0
	}
	t, err := set.read(dir, p, inode, room)
	if err != nil {
		if !host.Gone(err) {
			known[inode] = true
			set.misses = append(set.misses, miss{"mounts of a mount namespace", err})
		}
		return 0 // another process of the namespace may still be there
	}
	known[inode] = true
	set.list = append(set.list, t)
	return len(t.mounts)
}

func (set *mountTableSet) read(dir *host.Tree, p *proctable.Process, inode uint64, room int) (mountTable, error) {
	t := mountTable{inode: inode, pid: p.PID, process: p.Name()}
	data, err := dir.ReadFile("mountinfo", mountinfo.MaxBytes)
	if errors.Is(err, host.ErrTruncated) {
		set.misses = append(set.misses, miss{fmt.Sprintf("mounts past %d bytes of a mount table", len(data)), err})
		err = nil
	}
	if err != nil {
		return t, err
	}
	for m, err := range mountinfo.Parse(data) {
		switch {
		case err != nil:
			set.misses = append(set.misses, miss{"line of a mount table", err})
		case len(t.mounts) >= room:
			set.left++
		default:
			t.mounts = append(t.mounts, m)
		}
	}
	return t, nil
}
