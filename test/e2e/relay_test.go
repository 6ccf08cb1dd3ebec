package e2e

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"swab/client"
	"swab/test/installation"
)

// relay stands between a server and all who call it, and passes bytes on. While
// it holds uploads, what a connection brings beyond passed bytes, as an upload
// alone does, is read and goes nowhere.
type relay struct {
	listener net.Listener
	holds    atomic.Bool
}

const passed = 64 << 10

// installBehindRelay is install, with a relay that holds uploads.
func installBehindRelay(t *testing.T) (*installation.Installation, *client.Client, string, *relay) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r := &relay{listener: l}
	r.holds.Store(true)
	in := server(t, "--url", "https://"+l.Addr().String())
	go r.accept(in.Listen)
	t.Cleanup(func() { l.Close() })
	must(t, in.StartAgent("a"))
	ids, err := in.AwaitDevices(within(t, 30*time.Second), 1)
	must(t, err)
	return in, connect(t, in), ids[0], r
}

func (r *relay) accept(to string) {
	for {
		from, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", to)
		if err != nil {
			from.Close()
			continue
		}
		go func() { r.pass(server, from, r.holds.Load()); server.Close() }()
		go func() { r.pass(from, server, false); from.Close() }()
	}
}

func (r *relay) pass(to io.Writer, from io.Reader, holds bool) {
	if holds {
		if _, err := io.CopyN(to, from, passed); err != nil {
			return
		}
		to = io.Discard
	}
	io.Copy(to, from) // until either end has had enough
}
