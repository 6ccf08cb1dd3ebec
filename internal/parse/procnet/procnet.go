// Package procnet reads the text tables of /proc/net: what there is where
// netlink can't be asked, on a tree of files or in a namespace that may not be
// entered.
//
// The tables give the structures of [sockdiag] and [rtnl], with less in them:
// no TCP figures, no cgroup, no mark, no filter. Numbers in them are in the
// byte order of the machine that wrote them; this package takes little endian,
// that of every machine Swab is built for.
//
// A line that can't be read is an error of its own, and the others are kept.
package procnet

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"iter"
	"net/netip"
	"strconv"

	"swab/internal/parse/sockdiag"
)

// MaxBytes bounds how much of a table is worth reading: some 100,000 sockets.
const MaxBytes = 16 << 20

// Inet reads tcp, udp, udplite, raw, icmp and their twins of IPv6.
func Inet(data []byte, family uint8) iter.Seq2[sockdiag.Inet, error] {
	return rows(data, 1, func(line []byte) (sockdiag.Inet, error) { return inetLine(line, family) })
}

func inetLine(line []byte, family uint8) (sockdiag.Inet, error) {
	var f [14][]byte
	n := fields(line, f[:])
	if n < 10 {
		return sockdiag.Inet{}, short(line)
	}
	s := sockdiag.Inet{Family: family}
	var err error
	s.Local, err = endpoint(f[1], family)
	if err == nil {
		s.Remote, err = endpoint(f[2], family)
	}
	if err != nil {
		return sockdiag.Inet{}, bad(line, err)
	}
	r := numbers{line: line}
	tx, rx, _ := bytes.Cut(f[4], []byte(":"))
	timer, when, _ := bytes.Cut(f[5], []byte(":"))
	s.State = uint8(r.number(f[3], 16, 8))
	s.SendQueue, s.RecvQueue = uint32(r.number(tx, 16, 32)), uint32(r.number(rx, 16, 32))
	s.Timer = uint8(r.number(timer, 16, 8))
	s.Expires = uint32(min(r.number(when, 16, 64)*10, 1<<32-1)) // USER_HZ to ms
	s.Retrans = uint8(min(r.number(f[6], 16, 32), 255))
	s.UID = uint32(r.number(f[7], 10, 32))
	s.Inode = uint32(r.number(f[9], 10, 64))
	if n == 13 { // all but TCP, whose lines have 12 or 17 fields: ref, pointer, drops
		s.Drops = uint32(r.number(f[12], 10, 64))
	}
	return s, r.err
}

// Unix reads /proc/net/unix. An abstract name begins with NUL, as over netlink;
// the table writes every NUL of it as '@', so that inner ones can't be told.
func Unix(data []byte) iter.Seq2[sockdiag.Unix, error] {
	return rows(data, 1, func(line []byte) (sockdiag.Unix, error) {
		var f [7][]byte
		if fields(line, f[:]) < 7 {
			return sockdiag.Unix{}, short(line)
		}
		r := numbers{line: line}
		s := sockdiag.Unix{Type: uint8(r.number(f[4], 16, 16)), Inode: uint32(r.number(f[6], 10, 64)), State: 7}
		flags, state := r.number(f[3], 16, 32), r.number(f[5], 16, 8)
		switch {
		case flags&0x10000 != 0: // __SO_ACCEPTCON
			s.State = 10
		case state == 2 || state == 3: // SS_CONNECTING, SS_CONNECTED
			s.State = 1
		}
		// The name is what follows the inode and one space, spaces in it too.
		if name := after(line, 7); len(name) > 0 {
			s.Name = bytes.Clone(name)
			if s.Name[0] == '@' {
				s.Name[0] = 0
			}
		}
		return s, r.err
	})
}

// Packet reads /proc/net/packet.
func Packet(data []byte) iter.Seq2[sockdiag.Packet, error] {
	return rows(data, 1, func(line []byte) (sockdiag.Packet, error) {
		var f [9][]byte
		if fields(line, f[:]) < 9 {
			return sockdiag.Packet{}, short(line)
		}
		r := numbers{line: line}
		return sockdiag.Packet{
			Type: uint8(r.number(f[2], 10, 8)), Protocol: uint16(r.number(f[3], 16, 16)), Interface: uint32(r.number(f[4], 10, 32)),
			UID: uint32(r.number(f[7], 10, 32)), HasUID: true, Inode: uint32(r.number(f[8], 10, 64)),
		}, r.err
	})
}

// Netlink reads /proc/net/netlink.
func Netlink(data []byte) iter.Seq2[sockdiag.Netlink, error] {
	return rows(data, 1, func(line []byte) (sockdiag.Netlink, error) {
		var f [10][]byte
		if fields(line, f[:]) < 10 {
			return sockdiag.Netlink{}, short(line)
		}
		r := numbers{line: line}
		return sockdiag.Netlink{
			Protocol: uint8(r.number(f[1], 10, 8)), Port: uint32(r.number(f[2], 10, 32)), Groups: uint32(r.number(f[3], 16, 32)),
			Drops: uint32(r.number(f[8], 10, 64)), Inode: uint32(r.number(f[9], 10, 64)),
		}, r.err
	})
}

// endpoint reads "0100007F:1F90": the address in words of the machine's byte
// order, the port as a number.
func endpoint(b []byte, family uint8) (netip.AddrPort, error) {
	host, port, ok := bytes.Cut(b, []byte(":"))
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("no port in %.60q", b)
	}
	p, err := strconv.ParseUint(string(port), 16, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	a, err := hostWords(host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if want := family == sockdiag.FamilyInet6; want != (len(host) == 32) {
		return netip.AddrPort{}, fmt.Errorf("address %.60q is of the other family", host)
	}
	return netip.AddrPortFrom(a, uint16(p)), nil
}

// hostWords reads an address of 8 or 32 hex digits, in little-endian words.
func hostWords(b []byte) (netip.Addr, error) {
	var raw [16]byte
	if len(b) != 8 && len(b) != 32 {
		return netip.Addr{}, fmt.Errorf("%.60q is not 8 or 32 hex digits", b)
	}
	if _, err := hex.Decode(raw[:len(b)/2], b); err != nil {
		return netip.Addr{}, err
	}
	for w := 0; w < len(b)/2; w += 4 {
		raw[w], raw[w+1], raw[w+2], raw[w+3] = raw[w+3], raw[w+2], raw[w+1], raw[w]
	}
	if len(b) == 8 {
		return netip.AddrFrom4([4]byte(raw[:4])), nil
	}
	return netip.AddrFrom16(raw).Unmap(), nil
}

// rows walks the lines of a table, after so many of headings.
func rows[T any](data []byte, headings int, parse func([]byte) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for line := range bytes.Lines(data) {
			line = bytes.TrimSuffix(line, []byte("\n"))
			if headings > 0 {
				headings--
				continue
			}
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			if !yield(parse(line)) {
				return
			}
		}
	}
}

// fields splits a line at spaces and tabs into f, without allocating, and
// returns how many there were, at most len(f).
func fields(line []byte, f [][]byte) int {
	n := 0
	for i := 0; i < len(line) && n < len(f); {
		for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
			i++
		}
		start := i
		for i < len(line) && line[i] != ' ' && line[i] != '\t' {
			i++
		}
		if i > start {
			f[n] = line[start:i]
			n++
		}
	}
	return n
}

// after is what follows the first n fields and one space.
func after(line []byte, n int) []byte {
	for ; n > 0; n-- {
		line = bytes.TrimLeft(line, " \t")
		if i := bytes.IndexAny(line, " \t"); i >= 0 {
			line = line[i:]
		} else {
			return nil
		}
	}
	return line[1:]
}

// numbers reads the numbers of one line and keeps the first error.
type numbers struct {
	line []byte
	err  error
}

func (r *numbers) number(b []byte, base, bits int) uint64 {
	n, err := strconv.ParseUint(string(b), base, bits)
	if err != nil && r.err == nil {
		r.err = bad(r.line, err)
	}
	return n
}

func bad(line []byte, err error) error { return fmt.Errorf("line %.200q: %w", line, err) }

func short(line []byte) error { return fmt.Errorf("line %.200q has too few fields", line) }
