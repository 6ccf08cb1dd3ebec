package procnet

import (
	"iter"
	"strconv"
)

// Protocol is a line of protocols: a kind of socket that the kernel knows now.
type Protocol struct {
	Name    string // "TCP", "AF_VSOCK", "XDP"
	Sockets int64  // of it in this namespace; 0 or -1 also where the kernel does not count
}

// Protocols reads /proc/net/protocols.
func Protocols(data []byte) iter.Seq2[Protocol, error] { return rows(data, 1, protocolLine) }

func protocolLine(line []byte) (Protocol, error) {
	var f [3][]byte
	if fields(line, f[:]) < 3 {
		return Protocol{}, short(line)
	}
	n, err := strconv.ParseInt(string(f[2]), 10, 64)
	if err != nil {
		return Protocol{}, bad(line, err)
	}
	return Protocol{Name: string(f[0]), Sockets: n}, nil
}
