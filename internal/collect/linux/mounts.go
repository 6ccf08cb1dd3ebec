package linux

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"time"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/parse/mountinfo"
	"swab/internal/row"
)

// Mounts gathers what is mounted in every mount namespace.
//
// Source: mountinfo of one process of each namespace, never of the agent alone:
// a hardened service has a namespace of its own, in which evidence is hidden. How
// full a file system is comes from statfs, by way of that process's root; only
// local file systems are asked, since a dead server would not answer, and each
// question is abandoned after two seconds.
//
// Privilege: CAP_SYS_PTRACE to tell others' namespaces and to look into them;
// without it those mounts are a miss.
func Mounts() collect.Collector { return mounts{} }

type mounts struct{}

func (mounts) Spec() collect.Spec {
	return collect.Spec{Item: "linux.mounts", Source: []string{"/proc/PID/mountinfo", "/proc/PID/ns/mnt", "statfs"}, Timeout: 30 * time.Second}
}

// local are the types of file systems that answer by themselves and hold files.
var local = map[string]bool{
	"ext2": true, "ext3": true, "ext4": true, "xfs": true, "btrfs": true, "zfs": true, "f2fs": true, "vfat": true, "exfat": true,
	"ntfs3": true, "ntfs": true, "tmpfs": true, "devtmpfs": true, "ramfs": true, "overlay": true, "erofs": true, "squashfs": true,
	"iso9660": true, "udf": true, "jfs": true, "reiserfs": true, "nilfs2": true, "bcachefs": true, "hfsplus": true, "msdos": true,
}

// far are the types that ask a server or a program.
var far = map[string]bool{
	"nfs": true, "nfs4": true, "cifs": true, "smb3": true, "ceph": true, "9p": true, "afs": true, "glusterfs": true, "lustre": true,
	"gpfs": true, "ocfs2": true, "gfs2": true, "orangefs": true, "virtiofs": true, "autofs": true, "fuse": true, "fuseblk": true,
	"vboxsf": true, "coda": true, "beegfs": true, "davfs": true,
}

// overProcess matches a mount point that covers a process's directory. The
// place of procfs itself may be another, so any `/proc/N` counts.
var overProcess = regexp.MustCompile(`(^|/)proc/[0-9]+(/|$)`)

func (mounts) Collect(ctx context.Context, h *host.Host, out collect.Sink) error {
	set, err := mountTables(ctx, h)
	if err != nil {
		return err
	}
	set.tell(out)
	if err := out.Taken(ctx); err != nil {
		return err
	}
	full := newUsages(h)
	for _, t := range set.list {
		look := full.in(t)
		for _, m := range t.mounts {
			if err := context.Cause(ctx); err != nil {
				look.close()
				return err
			}
			x := mountRow(t, m)
			look.fill(&x, m)
			if err := out.Row("mounts", x); err != nil {
				look.close()
				return err
			}
		}
		look.close()
	}
	return nil
}

func mountRow(t mountTable, m mountinfo.Mount) row.Mount {
	x := row.Mount{
		Point: m.Point, Source: m.Source, Type: m.Type, Options: m.Options, Super: m.Super, Root: m.Root, Propagation: m.Propagation,
		ID: m.ID, Parent: m.Parent, Device: host.Dev{Major: m.Major, Minor: m.Minor}.String(),
		MountNS: t.inode, PID: t.pid, Process: t.process,
	}
	if overProcess.MatchString(m.Point) {
		x.Flag, x.Note = true, "covers a process in /proc: whoever looks there sees what is mounted instead"
	}
	return x
}

// usages asks how full file systems are, each once, however often it is mounted.
type usages struct {
	h     *host.Host
	known map[string]host.Usage // by device number
	stuck bool                  // too many questions hang: no more are asked
}

func newUsages(h *host.Host) *usages { return &usages{h: h, known: map[string]host.Usage{}} }

// view is the file system as one process sees it, opened when first needed.
type view struct {
	*usages
	pid  int
	root *host.Tree
	err  error
}

func (u *usages) in(t mountTable) *view { return &view{usages: u, pid: t.pid} }

func (v *view) close() {
	if v.root != nil {
		v.root.Close()
	}
}

func (v *view) tree() (*host.Tree, error) {
	if v.root == nil && v.err == nil {
		v.root, v.err = v.h.Proc.Inside(strconv.Itoa(v.pid) + "/root")
	}
	return v.root, v.err
}

// fill adds how full a mount's file system is, or why that was not asked.
func (v *view) fill(x *row.Mount, m mountinfo.Mount) {
	switch {
	case far[m.Type] || hasFUSE(m.Type):
		x.NotAsked = "network or user-space file system: it may never answer"
		return
	case !local[m.Type]:
		return // it holds no files
	case !v.h.Live:
		x.NotAsked = "not a running system"
		return
	case v.stuck:
		x.NotAsked = "too many file systems do not answer"
		return
	}
	u, known := v.known[x.Device]
	if !known {
		var err error
		if u, err = v.ask(m); err != nil {
			v.stuck = errors.Is(err, host.ErrTooMany)
			x.NotAsked = err.Error()
			return
		}
		v.known[x.Device] = u
	}
	x.Total, x.Free, x.Available = row.Num(u.Total), row.Num(u.Free), row.Num(u.Available)
	if u.Files > 0 {
		x.Files, x.FilesFree = row.Num(u.Files), row.Num(u.FilesFree)
	}
}

var errCovered = errors.New("another mount covers it")

// ask makes sure that what answers is the mount that was meant: another may lie
// over it.
func (v *view) ask(m mountinfo.Mount) (host.Usage, error) {
	root, err := v.tree()
	if err != nil {
		return host.Usage{}, err
	}
	u, err := root.Usage(m.Point)
	if err != nil {
		return host.Usage{}, err
	}
	if u.MountID != 0 && u.MountID != uint64(m.ID) || u.MountID == 0 && (u.Dev != host.Dev{Major: m.Major, Minor: m.Minor}) {
		return host.Usage{}, errCovered
	}
	return u, nil
}

// hasFUSE reports whether a type is FUSE with a program's name: "fuse.sshfs".
func hasFUSE(typ string) bool { return len(typ) > 5 && typ[:5] == "fuse." }
