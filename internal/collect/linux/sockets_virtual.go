package linux

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"swab/internal/parse/procnet"
	"swab/internal/parse/sockdiag"
	"swab/internal/row"
)

// virtualFamily is a family of sockets that /proc has no table of. It tells by
// `protocols` alone whether the kernel knows the family.
type virtualFamily struct {
	name     string // for people
	protocol string // in /proc/PID/net/protocols
	module   string // that answers
	counted  bool   // the kernel counts its sockets there
}

var (
	familyVsock     = virtualFamily{"AF_VSOCK", "AF_VSOCK", "vsock_diag", false}
	familyXDP       = virtualFamily{"AF_XDP", "XDP", "xsk_diag", true}
	virtualFamilies = [...]virtualFamily{familyVsock, familyXDP}
)

// dumpVirtual gathers the sockets of both families, or tells why not. Its error
// is that of a cancelled collection.
func (r *socketRun) dumpVirtual(ctx context.Context, c *conn, i int) error {
	for _, f := range []struct {
		virtualFamily
		request []byte
		parse   func([]byte) error
	}{
		{familyVsock, sockdiag.VsockRequest(), func(data []byte) error {
			k := kept[sockdiag.Vsock]{ns: int32(i), source: "sock_diag"}
			err := sockdiag.ParseVsock(data, &k.sock)
			if err == nil {
				r.vsock.add(k)
			}
			return err
		}},
		{familyXDP, sockdiag.XDPRequest(), func(data []byte) error {
			k := kept[sockdiag.XDP]{ns: int32(i), source: "sock_diag"}
			err := sockdiag.ParseXDP(data, &k.sock)
			if err == nil {
				r.xdp.add(k)
			}
			return err
		}},
	} {
		if !r.diag.has(f.module) {
			r.notLookedAt(i, f.virtualFamily, "the kernel has not loaded "+f.module+", and asking would make it run modprobe")
			continue
		}
		err := c.dump(ctx, sockdiag.ByFamily, f.request, func(_ uint16, data []byte) error { return f.parse(data) })
		switch {
		case err == nil:
		case unknown(err):
			r.notLookedAt(i, f.virtualFamily, "the kernel has no "+f.module)
		default:
			if _, err := r.settle(ctx, f.name+" sockets by sock_diag", err); err != nil {
				return err
			}
		}
	}
	return nil
}

// notLookedAt records that a family's sockets were not looked at, unless the
// kernel does not know the family or counts none of it.
func (r *socketRun) notLookedAt(i int, f virtualFamily, why string) {
	data, _, _ := r.table(i, "protocols")
	for p, err := range procnet.Protocols(data) {
		if err == nil && p.Name == f.protocol && (p.Sockets > 0 || !f.counted) {
			r.out.Missing(f.name+" sockets", fmt.Errorf("not looked at: %s: %w", why, errors.ErrUnsupported))
		}
	}
}

// anyCID is VMADDR_CID_ANY.
const anyCID = 1<<32 - 1

func cid(n uint32) string {
	if n == anyCID {
		return "any"
	}
	return strconv.FormatUint(uint64(n), 10)
}

func (r *socketRun) vsockSocket(k *kept[sockdiag.Vsock]) (row.Socket, bool) {
	s := &k.sock
	w := r.holders(uint64(s.Inode))
	out := row.Socket{
		Transport: "vsock_" + name(types, s.Type), Network: "vsock", State: name(tcpStates, s.State),
		LocalCID: cid(s.CID), LocalPort: s.Port, NetNS: r.spaces[k.ns].inode, Inode: uint64(s.Inode), Cookie: s.Cookie,
		PID: w.pid, Process: w.process, EntityID: w.entity, Owners: w.all, Own: w.own, Note: w.note, Source: k.source,
	}
	if s.RemoteCID != anyCID {
		out.RemoteCID, out.RemotePort = cid(s.RemoteCID), s.RemotePort
	}
	listens := s.State == stateListen
	if s.State == stateClose {
		out.State, listens = "UNCONN", s.RemoteCID == anyCID
	}
	return out, listens
}

func (r *socketRun) xdpSocket(k *kept[sockdiag.XDP]) row.PacketSocket {
	s := &k.sock
	w := r.holders(uint64(s.Inode))
	out := row.PacketSocket{
		Type: "xdp", Interface: interfaceName(r.names[k.ns], s.Interface),
		PID: w.pid, Process: w.process, Owners: w.all, EntityID: w.entity, Own: w.own, Note: w.note,
		Ring: true, Inode: uint64(s.Inode), NetNS: r.spaces[k.ns].inode, Source: k.source,
	}
	if s.Interface != 0 {
		out.Queue = row.Num(s.Queue)
	}
	if s.HasUID {
		out.UID, out.User = id(s.UID), r.users[s.UID]
	}
	return out
}

// virtualRows writes the rows of both families.
func (r *socketRun) virtualRows() error {
	for k := range r.vsock.all() {
		s, listens := r.vsockSocket(k)
		table := "active_connections"
		if listens {
			table = "listening"
		}
		if err := r.out.Row(table, s); err != nil {
			return err
		}
	}
	for k := range r.xdp.all() {
		if err := r.out.Row("packet", r.xdpSocket(k)); err != nil {
			return err
		}
	}
	return nil
}
