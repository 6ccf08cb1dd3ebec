package linux

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/collect/linux/proctable"
	"swab/internal/row"
)

// counter is a sink that counts rows and keeps none.
type counter struct {
	recorder
	n int
}

func (c *counter) Row(string, any) error {
	c.n++
	return nil
}

// connections opens so many connections over the loopback: twice as many sockets.
func connections(tb testing.TB, n int) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	for range n {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			tb.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { c.Close(); s.Close() })
	}
}

// BenchmarkSockets gathers 8,000 loopback sockets and whatever else the host has.
// "table" is with the table of processes made already, as it is when the whole
// stage runs; "all" makes it too.
func BenchmarkSockets(b *testing.B) {
	connections(b, 4000)
	base := running(b)
	for name, prepare := range map[string]func(*host.Host) error{
		"all": func(*host.Host) error { return nil },
		"table": func(h *host.Host) error {
			_, err := proctable.Snapshot(context.Background(), h)
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			rows := 0
			for b.Loop() {
				b.StopTimer()
				h, err := base.Renew()
				if err == nil {
					err = prepare(h)
				}
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				out := &counter{}
				if err := Sockets().Collect(b.Context(), h, out); err != nil {
					b.Fatal(err)
				}
				rows = out.n
			}
			b.ReportMetric(float64(rows), "rows")
		})
	}
}

// BenchmarkDump is the kernel's part and the decoding alone.
func BenchmarkDump(b *testing.B) {
	connections(b, 4000)
	h := running(b)
	b.ReportAllocs()
	for b.Loop() {
		r := &socketRun{h: h, out: &counter{}, spaces: []netns{{own: true}}, names: make([]map[uint32]string, 1), mine: map[uint64]bool{}}
		if _, err := r.namespace(b.Context(), 0); err != nil {
			b.Fatal(err)
		}
		if r.inet.n < 8000 {
			b.Fatalf("%d sockets, want 8,000", r.inet.n)
		}
	}
}

// TestNoThreadIsLeftBehindInANamespace holds that entering namespaces neither
// moves the process nor gathers threads.
func TestNoThreadIsLeftBehindInANamespace(t *testing.T) {
	h := running(t)
	before := runtime.NumGoroutine()
	for range 50 {
		f, err := h.Proc.OpenNamespace("self/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		c, err := dial(f, protoSockDiag)
		f.Close()
		if err != nil {
			assertDeniedWithoutRoot(t)
			return
		}
		c.close()
	}
	if after := runtime.NumGoroutine(); after > before+2 {
		t.Errorf("goroutines: %d before, %d after", before, after)
	}
}

var _ collect.Sink = (*counter)(nil)

// A socket of AF_VSOCK that listens is a row with its process, or the ledger says
// that such sockets were not looked at: one or the other on every kernel.
func TestVsockSocketIsARowOrAMiss(t *testing.T) {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		if out := gather(t, Sockets(), running(t)); out.missing["AF_VSOCK sockets"] != nil {
			t.Errorf("a kernel without AF_VSOCK: %v", out.missing)
		}
		return
	}
	if err == nil {
		t.Cleanup(func() { unix.Close(fd) })
		err = errors.Join(unix.Bind(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: unix.VMADDR_PORT_ANY}), unix.Listen(fd, 1))
	}
	if err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := bound.(*unix.SockaddrVM).Port
	out := gather(t, Sockets(), running(t))
	found := slices.ContainsFunc(rowsOf[row.Socket](out, "listening"), func(s row.Socket) bool {
		return s.Transport == "vsock_stream" && s.LocalPort == port && s.PID == os.Getpid() && s.State == "LISTEN"
	})
	if missed := out.missing["AF_VSOCK sockets"] != nil; found == missed {
		t.Errorf("port %d: a row %v, a miss %v (%v)", port, found, missed, out.missing)
	}
}

// So it is with AF_XDP, whose sockets the kernel counts.
func TestXDPSocketIsARowOrAMiss(t *testing.T) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		t.Cleanup(func() { unix.Close(fd) })
	} else if !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.EPERM) {
		t.Fatal(err)
	}
	made := err == nil
	out := gather(t, Sockets(), running(t))
	found := slices.ContainsFunc(rowsOf[row.PacketSocket](out, "packet"), func(s row.PacketSocket) bool {
		return s.Type == "xdp" && s.PID == os.Getpid()
	})
	if missed := out.missing["AF_XDP sockets"] != nil; made && found == missed || !made && found {
		t.Errorf("a socket made %v: a row %v, a miss %v (%v)", made, found, missed, out.missing)
	}
}
