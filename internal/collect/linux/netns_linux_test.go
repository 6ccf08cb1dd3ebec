package linux

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"swab/internal/row"
)

// elsewhere is a network namespace with a listener in it, which lives until the
// test ends.
type elsewhere struct {
	inode uint64
	port  uint32
}

// unshare makes a network namespace on a thread of its own, brings its loopback
// up and listens there. The thread stays in it, and is thrown away with the
// test.
func unshare(t *testing.T) (elsewhere, error) {
	t.Helper()
	type made struct {
		e   elsewhere
		err error
	}
	ready, stop := make(chan made), make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		runtime.LockOSThread() // and never unlocked
		if unix.Gettid() == unix.Getpid() {
			// The first thread must stay where the process is.
			ready <- made{err: errFirstThread}
			return
		}
		e, err := listenElsewhere(t, stop)
		ready <- made{e, err}
		<-stop
	}()
	m := <-ready
	if errors.Is(m.err, errFirstThread) {
		return unshare(t)
	}
	return m.e, m.err
}

var errFirstThread = errors.New("on the first thread")

func listenElsewhere(t *testing.T, stop chan struct{}) (elsewhere, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return elsewhere{}, err
	}
	target, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return elsewhere{}, err
	}
	inode, err := strconv.ParseUint(strings.Trim(target, "net:[]"), 10, 64)
	if err != nil {
		return elsewhere{}, err
	}
	if err := loopbackUp(); err != nil {
		return elsewhere{}, err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return elsewhere{}, err
	}
	go func() { <-stop; l.Close() }()
	// A descriptor keeps the namespace in sight: no process has its main thread in it.
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return elsewhere{}, err
	}
	go func() { <-stop; f.Close() }()
	return elsewhere{inode, uint32(l.Addr().(*net.TCPAddr).Port)}, nil
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}

func TestListenerInAnotherNamespaceIsFound(t *testing.T) {
	e, err := unshare(t)
	if errors.Is(err, fs.ErrPermission) {
		assertDeniedWithoutRoot(t)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	h := running(t)
	out := gather(t, Sockets(), h)
	found := false
	for _, s := range rowsOf[row.Socket](out, "listening") {
		if s.NetNS == e.inode && s.LocalPort == e.port {
			found = true
			if s.PID != os.Getpid() || s.Source != "sock_diag" {
				t.Errorf("listener: %+v", s)
			}
		}
	}
	if !found {
		t.Errorf("no listener of port %d in namespace %d; missing: %v", e.port, e.inode, out.missing)
	}

	interfaces := rowsOf[row.Interface](gather(t, Routes(), h), "interfaces")
	found = false
	for _, i := range interfaces {
		found = found || i.NetNS == e.inode && i.Name == "lo" && strings.Contains(strings.Join(i.Addresses, " "), "127.0.0.1/8")
	}
	if !found {
		t.Errorf("the loopback of namespace %d is not among %+v", e.inode, interfaces)
	}
	if target, err := os.Readlink("/proc/self/ns/net"); err != nil || strings.Contains(target, strconv.FormatUint(e.inode, 10)) {
		t.Errorf("the process itself has moved: %s, %v", target, err)
	}
}

// assertDeniedWithoutRoot holds the other half of the promise: who may not look
// is told so.
func assertDeniedWithoutRoot(t *testing.T) {
	t.Helper()
	out := gather(t, Sockets(), running(t))
	if err := out.missing["network namespace of a process"]; !errors.Is(err, fs.ErrPermission) {
		t.Errorf("without root the namespaces of others are not recorded as denied: %v", out.missing)
	}
}

func TestAgentsOwnNetlinkSocketIsMarked(t *testing.T) {
	out := gather(t, Sockets(), running(t))
	own := 0
	for _, s := range rowsOf[row.NetlinkSocket](out, "netlink") {
		if s.Own && s.PID == os.Getpid() {
			own++
		}
	}
	if own == 0 {
		t.Error("the socket that asked is not marked as the agent's own")
	}
}

func TestPacketSocketIsFoundWithItsFilter(t *testing.T) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0x0300) // all, in network byte order
	if errors.Is(err, fs.ErrPermission) {
		assertDeniedWithoutRoot(t)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	filter := []unix.SockFilter{{Code: 0x28, K: 12}, {Code: 0x15, Jt: 0, Jf: 1, K: 0x800}, {Code: 6, K: 0xffff}, {Code: 6, K: 0}}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}); err != nil {
		t.Fatal(err)
	}
	var s unix.Stat_t
	if err := unix.Fstat(fd, &s); err != nil {
		t.Fatal(err)
	}
	for _, p := range rowsOf[row.PacketSocket](gather(t, Sockets(), running(t)), "packet") {
		if p.Inode != s.Ino {
			continue
		}
		want := "002800000000000c" + "0015000100000800" + "000600000000ffff" + "0006000000000000"
		if p.PID != os.Getpid() || p.FilterLength != 4 || p.Filter != want || p.Protocol != "0x0003 all" || p.Type != "raw" {
			t.Errorf("packet socket: %+v", p)
		}
		return
	}
	t.Error("the packet socket is not in the table")
}
