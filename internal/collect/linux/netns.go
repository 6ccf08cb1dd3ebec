package linux

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/collect/linux/proctable"
	"swab/internal/parse/proc"
	"swab/internal/parse/procnet"
	"swab/internal/parse/rtnl"
)

// errInterrupted says that a table of the kernel changed while it was dumped.
var errInterrupted = errors.New("the table changed while it was read: an entry may be missing or told twice")

// maxNamespaces bounds how many network namespaces are looked at.
const maxNamespaces = 4096

// netns is a network namespace.
type netns struct {
	inode uint64
	own   bool   // the agent's
	dir   string // where /proc shows its tables: "1/net"; "" where no process is in it
	held  string // what keeps it alive, where no process is in it
	open  func() (*os.File, error)
}

// dial opens a netlink socket in the namespace.
func (n netns) dial(protocol int) (*conn, error) {
	if n.own {
		return dial(nil, protocol)
	}
	f, err := n.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return dial(f, protocol)
}

// namespaces is every network namespace of the host: those that processes are
// in, then those that only a descriptor or a mount keeps alive, as `ip netns add`
// leaves them. hidden is how many processes did not tell theirs.
type namespaces struct {
	list   []netns
	hidden int
	denied error // why they did not
	bound  int   // how many are looked at
	over   int   // namespaces over the bound
}

// networkNamespaces finds them, once for a package.
func networkNamespaces(ctx context.Context, h *host.Host) (*namespaces, error) {
	type key struct{}
	return host.Once(h, key{}, func() (*namespaces, error) { return findNamespaces(ctx, h, maxNamespaces) })
}

func findNamespaces(ctx context.Context, h *host.Host, bound int) (*namespaces, error) {
	ps, err := proctable.Snapshot(ctx, h)
	if err != nil {
		return nil, err
	}
	found := &namespaces{bound: bound}
	known := map[uint64]bool{}
	add := func(n netns) {
		switch {
		case known[n.inode]:
		case len(found.list) == bound:
			known[n.inode] = true
			found.over++
		default:
			known[n.inode] = true
			found.list = append(found.list, n)
		}
	}
	if h.Live {
		// The agent's own needs no rights, and comes first.
		if target, err := h.Proc.Readlink("self/ns/net"); err == nil {
			if _, inode, ok := proc.Inode(target); ok {
				add(netns{inode: inode, own: true, dir: strconv.Itoa(h.Self.PID) + "/net"})
			}
		}
	}
	for _, p := range ps.List {
		switch {
		case p.NetNS != 0:
			pid := strconv.Itoa(p.PID)
			add(netns{inode: p.NetNS, dir: pid + "/net", open: func() (*os.File, error) { return h.Proc.OpenNamespace(pid + "/ns/net") }})
		case errors.Is(p.NetNSErr, fs.ErrPermission):
			found.hidden++
			found.denied = cmp.Or(found.denied, p.NetNSErr)
		}
	}
	for _, p := range ps.List {
		for _, fd := range p.FDs {
			if kind, inode, ok := proc.Inode(fd.Target()); fd.Kind == proctable.Other && ok && kind == "net" {
				link := strconv.Itoa(p.PID) + "/fd/" + strconv.Itoa(int(fd.Number))
				add(netns{
					inode: inode, held: "descriptor of process " + strconv.Itoa(p.PID),
					open: func() (*os.File, error) { return h.Proc.OpenNamespace(link) },
				})
			}
		}
	}
	tables, err := mountTables(ctx, h)
	if err != nil {
		return nil, err
	}
	for _, t := range tables.list {
		for _, m := range t.mounts {
			if kind, inode, ok := proc.Inode(m.Root); m.Type == "nsfs" && ok && kind == "net" {
				add(netns{inode: inode, held: "mount at " + m.Point, open: func() (*os.File, error) { return openMounted(h, t.pid, m.Point) }})
			}
		}
	}
	if len(found.list) == 0 {
		// A tree of files may hold tables without saying whose they are.
		for _, dir := range []string{"net", "1/net"} {
			if s, err := h.Proc.Lstat(dir); err == nil && s.Kind() == host.Directory {
				found.list = append(found.list, netns{dir: dir})
				break
			}
		}
	}
	return found, nil
}

// openMounted opens a namespace where a process sees it mounted.
func openMounted(h *host.Host, pid int, point string) (*os.File, error) {
	root, err := h.Proc.Inside(strconv.Itoa(pid) + "/root")
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.OpenNamespace(point)
}

// linkNames dumps the names of a namespace's interfaces by index.
func linkNames(ctx context.Context, c *conn) (map[uint32]string, error) {
	names := map[uint32]string{}
	err := c.dump(ctx, rtnl.GetLink, rtnl.Request(rtnl.GetLink), func(typ uint16, data []byte) error {
		if typ != rtnl.NewLink {
			return nil
		}
		l, err := rtnl.ParseLink(data)
		if err == nil {
			names[l.Index] = l.Name
		}
		return err
	})
	if errors.Is(err, errInterrupted) {
		err = nil
	}
	return names, err
}

// interfaceName is an interface's name, "" for none, and its number where it has
// gone since.
func interfaceName(names map[uint32]string, index uint32) string {
	if index == 0 {
		return ""
	}
	if name, ok := names[index]; ok {
		return name
	}
	return "#" + strconv.FormatUint(uint64(index), 10)
}

// mac is a hardware address as ECS writes it: 02-00-5E-10-00-01.
func mac(b []byte) string {
	const digits = "0123456789ABCDEF"
	if len(b) == 0 || len(b) > 32 {
		return ""
	}
	out := make([]byte, 0, 3*len(b))
	for i, c := range b {
		if i > 0 {
			out = append(out, '-')
		}
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

// network is the ECS name of an address family.
func network(family uint8) string {
	switch family {
	case 2:
		return "ipv4"
	case 10:
		return "ipv6"
	}
	return "family " + strconv.Itoa(int(family))
}

// name is the word for a number, or the number.
func name[K ~uint8 | ~uint16 | ~uint32](words map[K]string, n K) string {
	if w, ok := words[n]; ok {
		return w
	}
	return strconv.FormatUint(uint64(n), 10)
}

// eachNamespace gathers from every network namespace: by netlink, or, where a
// namespace may not be entered and on a tree of files, from the tables that /proc
// shows. files reports whether there were any. A namespace that can't be read is
// a miss; none at all is fs.ErrNotExist.
func eachNamespace(ctx context.Context, h *host.Host, out collect.Sink, what string,
	dump func(*conn, netns) error, files func(netns) bool,
) error {
	found, err := networkNamespaces(ctx, h)
	if err != nil {
		return err
	}
	found.tell(out)
	read := false
	for _, ns := range found.list {
		if !h.Live {
			read = files(ns) || read
			continue
		}
		c, err := ns.dial(protoRoute)
		if err != nil {
			out.Missing(what+" of a network namespace by netlink"+heldBy(ns), err)
			read = files(ns) || read
			continue
		}
		read = true
		err = dump(c, ns)
		c.close()
		switch {
		case context.Cause(ctx) != nil:
			return context.Cause(ctx)
		case errors.Is(err, errInterrupted):
			out.Missing(what, fmt.Errorf("%w: %w", collect.ErrChanged, err))
		case err != nil:
			out.Missing(what, err)
		}
	}
	if !read {
		return fmt.Errorf("no network namespace could be read, and /proc has no table of %s: %w", what, fs.ErrNotExist)
	}
	return nil
}

// tell records what is not known of the namespaces themselves.
func (n *namespaces) tell(out collect.Sink) {
	if n.hidden > 0 {
		out.Missing("network namespace of a process", n.denied)
		out.Note("%d processes did not tell their network namespace: one that only they are in was not looked at.", n.hidden)
	}
	if n.over > 0 {
		out.Truncated(fmt.Sprintf("more than %d network namespaces: %d were not looked at", n.bound, n.over), int64(n.over), 0)
	}
}

// heldBy says what keeps a namespace alive that no process is in.
func heldBy(ns netns) string {
	if ns.held == "" {
		return ""
	}
	return " (" + ns.held + ")"
}

// netTable reads one of the tables that /proc shows of a namespace; ok is false
// where there is none.
func netTable(h *host.Host, out collect.Sink, ns netns, name string) (data []byte, source string, ok bool) {
	if ns.dir == "" {
		return nil, "", false
	}
	name = ns.dir + "/" + name
	source = h.Proc.Name(name)
	data, err := h.Proc.ReadFile(name, procnet.MaxBytes)
	switch {
	case err == nil:
	case errors.Is(err, host.ErrTruncated):
		out.Truncated(fmt.Sprintf("%s is longer than %d bytes", source, procnet.MaxBytes), 0, 0)
	case host.Gone(err):
		return nil, source, false
	default:
		out.Missing(source, err)
	}
	return data, source, true
}
