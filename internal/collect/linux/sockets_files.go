package linux

import (
	"iter"

	"swab/internal/parse/procnet"
	"swab/internal/parse/sockdiag"
)

// tables reads what /proc shows of a namespace, and reports whether it shows any.
func (r *socketRun) tables(i int) bool {
	any := false
	for proto := range inetTables {
		any = r.inetTable(i, proto) || any
	}
	any = r.unixTable(i) || any
	any = r.packetTable(i) || any
	any = r.netlinkTable(i) || any
	for _, f := range virtualFamilies {
		r.notLookedAt(i, f, "it has no table in /proc")
	}
	return any
}

func (r *socketRun) inetTable(i, proto int) bool {
	t := inetTables[proto]
	if t.table == "" {
		return false
	}
	data, source, ok := r.table(i, t.table)
	eachLine(r, source, procnet.Inet(data, t.family), func(s sockdiag.Inet) {
		r.inet.add(kept[sockdiag.Inet]{int32(i), uint8(proto), source, s})
	})
	return ok
}

func (r *socketRun) unixTable(i int) bool {
	data, source, ok := r.table(i, "unix")
	eachLine(r, source, procnet.Unix(data), func(s sockdiag.Unix) { r.unix.add(kept[sockdiag.Unix]{int32(i), 0, source, s}) })
	return ok
}

func (r *socketRun) packetTable(i int) bool {
	data, source, ok := r.table(i, "packet")
	eachLine(r, source, procnet.Packet(data), func(s sockdiag.Packet) { r.packet.add(kept[sockdiag.Packet]{int32(i), 0, source, s}) })
	return ok
}

func (r *socketRun) netlinkTable(i int) bool {
	data, source, ok := r.table(i, "netlink")
	eachLine(r, source, procnet.Netlink(data), func(s sockdiag.Netlink) { r.netlink.add(kept[sockdiag.Netlink]{int32(i), 0, source, s}) })
	return ok
}

// table reads one table of /proc/PID/net.
func (r *socketRun) table(i int, name string) (data []byte, source string, ok bool) {
	return netTable(r.h, r.out, r.spaces[i], name)
}

func eachLine[T any](r *socketRun, source string, lines iter.Seq2[T, error], f func(T)) {
	for s, err := range lines {
		if err != nil {
			r.out.Missing("line of "+source, err)
			continue
		}
		f(s)
	}
}
