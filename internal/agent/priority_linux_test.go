package agent

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"swab/internal/collect/host"
)

// Who may raise a priority again lowers it and gives it back; who may not leaves
// it as it is.
func TestPriorityIsLoweredAndGivenBack(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	h, err := host.Live(host.Options{Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	nice := func() int {
		raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
		if err != nil {
			t.Fatal(err)
		}
		return 20 - raw
	}
	was := nice()
	want := was
	if h.Self.Capabilities&capSysNice != 0 {
		want = max(was, niceLow)
	}
	restore := lowerPriority(h.Self.Capabilities)
	if got := nice(); got != want {
		t.Errorf("lowered to %d, want %d", got, want)
	}
	if restore(); nice() != was {
		t.Errorf("given back as %d, was %d", nice(), was)
	}
	lowerPriority(0)()
	if nice() != was {
		t.Errorf("changed without the right to change it back")
	}
}
