package linux

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/collect/linux/proctable"
	"swab/internal/parse/sockdiag"
)

// maxSockets bounds how many sockets of each kind are kept: at two hundred bytes
// each, a third of the agent's memory.
const maxSockets = 100_000

// Sockets gathers the sockets of every network namespace with the processes that
// hold them.
//
// Source: netlink's sock_diag, asked from within each namespace; where a
// namespace may not be entered, a protocol has no sock_diag, or the host is a
// tree of files, the tables of /proc/PID/net, which know less. Owners come from
// the descriptors of all processes, by the socket's inode.
//
// Privilege: none for the agent's own namespace; CAP_SYS_ADMIN to enter others
// (without: their tables in /proc, and a miss); CAP_SYS_PTRACE to see whose a
// socket is; CAP_NET_ADMIN for marks and filters.
//
// A protocol that the kernel lacks answers ENOENT: that is no failure. A protocol
// whose module (tcp_diag and its like) is not loaded is not asked for, since the
// kernel would run modprobe to load it; a note names those. Sockets of AF_VSOCK
// and AF_XDP have no table in /proc: where the kernel has some and they can't be
// asked for, that is a miss. Sockets come and go between the reading of
// descriptors and that of sockets, so a socket without an owner is a question,
// not yet a finding, and its note says so.
func Sockets() collect.Collector { return sockets{} }

type sockets struct{}

func (sockets) Spec() collect.Spec {
	return collect.Spec{
		Item: "linux.sockets",
		Source: []string{
			"netlink sock_diag", "/proc/PID/fd", "/proc/PID/ns/net",
			"/proc/PID/net/{tcp,udp,udplite,raw,icmp}{,6}", "/proc/PID/net/{unix,packet,netlink,protocols}",
		},
		Timeout: 20 * time.Second,
	}
}

// inetTable is a protocol of one family: how sock_diag knows it, and its table in
// /proc/PID/net ("" where it has none).
type inetTable struct {
	transport string
	family    uint8
	protocol  uint16 // 0: sock_diag does not know it
	table     string
}

var inetTables = [...]inetTable{
	{"tcp", sockdiag.FamilyInet, sockdiag.ProtoTCP, "tcp"},
	{"tcp", sockdiag.FamilyInet6, sockdiag.ProtoTCP, "tcp6"},
	{"udp", sockdiag.FamilyInet, sockdiag.ProtoUDP, "udp"},
	{"udp", sockdiag.FamilyInet6, sockdiag.ProtoUDP, "udp6"},
	{"udplite", sockdiag.FamilyInet, sockdiag.ProtoUDPLite, "udplite"},
	{"udplite", sockdiag.FamilyInet6, sockdiag.ProtoUDPLite, "udplite6"},
	{"raw", sockdiag.FamilyInet, sockdiag.ProtoRaw, "raw"},
	{"raw", sockdiag.FamilyInet6, sockdiag.ProtoRaw, "raw6"},
	{"icmp", sockdiag.FamilyInet, 0, "icmp"},
	{"icmp", sockdiag.FamilyInet6, 0, "icmp6"},
	{"dccp", sockdiag.FamilyInet, sockdiag.ProtoDCCP, ""},
	{"dccp", sockdiag.FamilyInet6, sockdiag.ProtoDCCP, ""},
	{"sctp", sockdiag.FamilyInet, sockdiag.ProtoSCTP, ""},
	{"sctp", sockdiag.FamilyInet6, sockdiag.ProtoSCTP, ""},
	{"mptcp", sockdiag.FamilyInet, sockdiag.ProtoMPTCP, ""},
	{"mptcp", sockdiag.FamilyInet6, sockdiag.ProtoMPTCP, ""},
}

// kept is a socket with where it was found.
type kept[T any] struct {
	ns     int32 // index into the namespaces
	proto  uint8 // index into inetTables
	source string
	sock   T
}

// list keeps sockets in blocks, so that growing copies nothing.
type list[T any] struct {
	blocks [][]kept[T]
	n      int
	over   int64
	take   func(bytes int) bool // whether there is memory for more; nil: there is
	full   bool
}

func (l *list[T]) add(k kept[T]) {
	if l.n >= maxSockets || l.full {
		l.over++
		return
	}
	if last := len(l.blocks) - 1; last < 0 || len(l.blocks[last]) == cap(l.blocks[last]) {
		size := min(max(64, l.n), 4096)
		if l.take != nil && !l.take(size*int(reflect.TypeFor[kept[T]]().Size())) {
			l.full = true
			l.over++
			return
		}
		l.blocks = append(l.blocks, make([]kept[T], 0, size))
	}
	last := len(l.blocks) - 1
	l.blocks[last] = append(l.blocks[last], k)
	l.n++
}

func (l *list[T]) all() iter.Seq[*kept[T]] {
	return func(yield func(*kept[T]) bool) {
		for _, b := range l.blocks {
			for i := range b {
				if !yield(&b[i]) {
					return
				}
			}
		}
	}
}

// socketRun is one gathering of sockets.
type socketRun struct {
	h      *host.Host
	out    collect.Sink
	spaces []netns
	names  []map[uint32]string // of interfaces, of each namespace
	owners func(inode uint64) []proctable.Owner
	veiled bool            // some process's descriptors could not be read
	mine   map[uint64]bool // inodes of the agent's netlink sockets, which are younger than owners
	users  map[uint32]string
	diag   *diagModules

	inet    list[sockdiag.Inet]
	unix    list[sockdiag.Unix]
	packet  list[sockdiag.Packet]
	netlink list[sockdiag.Netlink]
	vsock   list[sockdiag.Vsock]
	xdp     list[sockdiag.XDP]
}

func (sockets) Collect(ctx context.Context, h *host.Host, out collect.Sink) error {
	ps, err := proctable.Snapshot(ctx, h)
	if err != nil {
		return err
	}
	found, err := networkNamespaces(ctx, h)
	if err != nil {
		return err
	}
	r := &socketRun{
		h: h, out: out, spaces: found.list, names: make([]map[uint32]string, len(found.list)),
		owners: ps.Owners, mine: map[uint64]bool{}, users: userNames(h), diag: findDiagModules(h),
	}
	r.inet.take, r.unix.take, r.packet.take, r.netlink.take = ps.Take, ps.Take, ps.Take, ps.Take
	r.vsock.take, r.xdp.take = ps.Take, ps.Take
	found.tell(out)
	r.veiled = ps.Left > 0
	for _, p := range ps.List {
		// The kernel asks for the same right before it tells either.
		for _, err := range []error{p.FDsErr, p.NetNSErr} {
			if errors.Is(err, fs.ErrPermission) {
				r.veiled = true
				out.Missing("descriptors of a process, by which its sockets are found", err)
				break
			}
		}
	}
	read := 0
	for i := range r.spaces {
		ok, err := r.namespace(ctx, i)
		if err != nil {
			return err
		}
		if ok {
			read++
		}
	}
	if len(r.diag.left) > 0 {
		out.Note("Read from /proc, which knows no filters, cgroups and TCP figures: the kernel has not loaded %s, and asking would make it run modprobe.",
			strings.Join(slices.Sorted(maps.Keys(r.diag.left)), ", "))
	}
	if err := out.Taken(ctx); err != nil {
		return err
	}
	if read == 0 && r.inet.n+r.unix.n+r.packet.n+r.netlink.n == 0 {
		return fmt.Errorf("no network namespace could be read, and /proc has no table of sockets: %w", fs.ErrNotExist)
	}
	return r.rows(ctx)
}

// namespace gathers the sockets of one namespace. It reports whether there was
// any to ask; the error is that of a cancelled collection alone.
func (r *socketRun) namespace(ctx context.Context, i int) (bool, error) {
	ns := r.spaces[i]
	if !r.h.Live {
		return r.tables(i), nil
	}
	c, err := ns.dial(protoSockDiag)
	if err != nil {
		r.out.Missing("sockets of a network namespace by sock_diag"+heldBy(ns), err)
		return r.tables(i), nil
	}
	defer c.close()
	r.mine[c.inode] = true
	for proto := range inetTables {
		if err := r.dumpInet(ctx, c, i, proto); err != nil {
			return true, err
		}
	}
	if err := r.dumpOthers(ctx, c, i); err != nil {
		return true, err
	}
	if err := r.dumpVirtual(ctx, c, i); err != nil {
		return true, err
	}
	return true, r.interfaceNames(ctx, i)
}

// unknown reports whether an answer means that the kernel does not know what it
// was asked for: the protocol, or sock_diag for it.
func unknown(err error) bool {
	for _, e := range []error{syscall.ENOENT, syscall.EOPNOTSUPP, syscall.EPROTONOSUPPORT, syscall.EINVAL, syscall.EAFNOSUPPORT} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// settle decides what an answer's error means. It reports whether the table in
// /proc must serve instead; its error is that of a cancelled collection.
func (r *socketRun) settle(ctx context.Context, what string, err error) (bool, error) {
	switch {
	case err == nil:
		return false, nil
	case context.Cause(ctx) != nil:
		return false, context.Cause(ctx)
	case unknown(err):
		return true, nil
	case errors.Is(err, errInterrupted):
		r.out.Missing(what, fmt.Errorf("%w: %w", collect.ErrChanged, err))
		return false, nil
	default:
		r.out.Missing(what, err)
		return true, nil
	}
}

func (r *socketRun) dumpInet(ctx context.Context, c *conn, i, proto int) error {
	t := inetTables[proto]
	if t.protocol == 0 || !r.diag.may(diagOf(t.transport)...) {
		r.inetTable(i, proto)
		return nil
	}
	k := kept[sockdiag.Inet]{ns: int32(i), proto: uint8(proto), source: "sock_diag"}
	before := r.inet.n
	err := c.dump(ctx, sockdiag.ByFamily, sockdiag.InetRequest(t.family, t.protocol), func(_ uint16, data []byte) error {
		if err := sockdiag.ParseInet(data, &k.sock); err != nil {
			return err
		}
		r.inet.add(k)
		return nil
	})
	instead, err := r.settle(ctx, t.transport+" sockets by sock_diag", err)
	if instead && r.inet.n == before {
		r.inetTable(i, proto)
	}
	return err
}

func (r *socketRun) dumpOthers(ctx context.Context, c *conn, i int) error {
	for _, other := range []struct {
		what    string
		module  string
		request []byte
		parse   func([]byte) error
		table   func(int) bool
	}{
		{"unix", "unix_diag", sockdiag.UnixRequest(), func(data []byte) error {
			k := kept[sockdiag.Unix]{ns: int32(i), source: "sock_diag"}
			err := sockdiag.ParseUnix(data, &k.sock)
			k.sock.Name = append([]byte(nil), k.sock.Name...)
			r.unix.add(k)
			return err
		}, r.unixTable},
		{"packet", "af_packet_diag", sockdiag.PacketRequest(), func(data []byte) error {
			k := kept[sockdiag.Packet]{ns: int32(i), source: "sock_diag"}
			err := sockdiag.ParsePacket(data, &k.sock)
			r.packet.add(k)
			return err
		}, r.packetTable},
		{"netlink", "netlink_diag", sockdiag.NetlinkRequest(), func(data []byte) error {
			k := kept[sockdiag.Netlink]{ns: int32(i), source: "sock_diag"}
			err := sockdiag.ParseNetlink(data, &k.sock)
			r.netlink.add(k)
			return err
		}, r.netlinkTable},
	} {
		if !r.diag.may(other.module) {
			other.table(i)
			continue
		}
		err := c.dump(ctx, sockdiag.ByFamily, other.request, func(_ uint16, data []byte) error { return other.parse(data) })
		instead, err := r.settle(ctx, other.what+" sockets by sock_diag", err)
		if err != nil {
			return err
		}
		if instead {
			other.table(i)
		}
	}
	return nil
}

// interfaceNames asks for the names of a namespace's interfaces, if a socket of
// it is bound to one.
func (r *socketRun) interfaceNames(ctx context.Context, i int) error {
	needed := false
	for k := range r.inet.all() {
		needed = needed || int(k.ns) == i && k.sock.Interface != 0
	}
	for k := range r.xdp.all() {
		needed = needed || int(k.ns) == i && k.sock.Interface != 0
	}
	for k := range r.packet.all() {
		needed = needed || int(k.ns) == i && k.sock.Interface != 0
	}
	if !needed {
		return nil
	}
	c, err := r.spaces[i].dial(protoRoute)
	if err != nil {
		return nil // the rows then show the numbers
	}
	defer c.close()
	r.mine[c.inode] = true
	r.names[i], err = linkNames(ctx, c)
	if err != nil {
		return context.Cause(ctx)
	}
	return nil
}
