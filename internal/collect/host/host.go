package host

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Host is a device as collectors see it. Its fields do not change while
// collectors run, View aside, which [Host.Saw] guards.
type Host struct {
	Root *Tree // the file system; a drive on Windows
	Proc *Tree // procfs; nil where the system has none
	Sys  *Tree // sysfs; nil where the system has none

	Live  bool             // the running system, not a tree of files
	Clock func() time.Time // the device's clock
	Boot  Boot
	Self  Self

	// View says how the host was seen: "procfs" (detached, mounted, files),
	// "openat2", "privileges" … It goes into the manifest. Collectors add to it
	// by Saw.
	View map[string]string

	// MaskKey keys the digests that stand for masked secrets, so that two
	// values can be compared within one package and nowhere else. Zero on a
	// tree of files, so that its rows are always the same.
	MaskKey [32]byte

	// Patience runs what may block.
	Patience *Patience

	viewLock *sync.Mutex
	memo     *sync.Map // of what was made once for this package: key → func() any
}

// Boot is when and as what the system was started.
type Boot struct {
	ID    string        // /proc/sys/kernel/random/boot_id; "" where there is none
	Time  time.Time     // realtime minus boottime, read together
	Since time.Duration // boottime (suspended time included) when it was read
}

// TicksPerSecond is the unit of times in /proc/PID/stat: USER_HZ, 100 on every
// architecture that Linux gives to user space.
const TicksPerSecond = 100

// At is the moment so many ticks after the boot. `btime` in /proc/stat would be
// coarse, and moves when the clock is set.
func (b Boot) At(ticks uint64) time.Time {
	if b.Time.IsZero() || ticks > 1<<50 {
		return time.Time{}
	}
	return b.Time.Add(time.Duration(ticks/TicksPerSecond)*time.Second +
		time.Duration(ticks%TicksPerSecond)*time.Second/TicksPerSecond).Round(time.Second / TicksPerSecond)
}

// Self is what of the device is the agent's own. Rows mark it.
type Self struct {
	PID          int    // 0 on a tree of files
	Executable   string // path of the running program
	StateFile    string // path of the agent's state; "" without one
	Root         bool   // has the effective rights of root that Needs.Root means
	Capabilities uint64 // effective set, on Linux
}

// Options are the settings of [Live].
type Options struct {
	Clock     func() time.Time // required
	StateFile string           // path of the agent's state file; "" without one
}

// Live is the running host. Close it when done.
func Live(o Options) (*Host, error) {
	if o.Clock == nil {
		return nil, errors.New("host: no clock was handed in")
	}
	h := newHost(o.Clock)
	h.Live = true
	h.Self = Self{PID: os.Getpid(), StateFile: o.StateFile}
	h.Self.Executable, _ = os.Executable()
	if _, err := rand.Read(h.MaskKey[:]); err != nil {
		return nil, fmt.Errorf("random key for masking: %w", err)
	}
	if err := h.openLive(); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	h.readClock()
	return h, nil
}

// Fixture is a host whose root is the directory root: a tree of files for
// tests, or a copy of another machine's. Its clock stands still at the moment
// that `proc/stat` (btime) and `proc/uptime` give, else at the Unix epoch.
func Fixture(root string) (*Host, error) {
	t, err := openRoot(root, false)
	if err != nil {
		return nil, err
	}
	h := newHost(nil)
	h.adopt(t, "/")
	h.Self.Root = true
	h.View["procfs"] = "files"
	for name, tree := range map[string]**Tree{"proc": &h.Proc, "sys": &h.Sys} {
		sub, err := h.Root.Sub(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("fixture %s: %w", filepath.Join(root, name), err), h.Close())
		}
		*tree = sub
	}
	h.bootFromFiles()
	now := h.Boot.Time.Add(h.Boot.Since)
	h.Clock = func() time.Time { return now }
	return h, nil
}

func newHost(clock func() time.Time) *Host {
	return &Host{
		Clock: clock, View: map[string]string{}, Patience: NewPatience(MaxAbandoned),
		viewLock: new(sync.Mutex), memo: new(sync.Map),
	}
}

// adopt makes t the host's root tree.
func (h *Host) adopt(t *Tree, shown string) {
	t.path, t.patience = shown, h.Patience
	h.Root = t
}

// bootFromFiles takes the boot's facts from the files of a fixture.
func (h *Host) bootFromFiles() {
	h.Boot.Time = time.Unix(0, 0).UTC()
	if h.Proc == nil {
		return
	}
	h.Boot.ID = h.bootID()
	stat, _ := h.Proc.ReadFile("stat", 1<<20)
	for line := range bytes.Lines(stat) {
		if rest, ok := bytes.CutPrefix(line, []byte("btime ")); ok {
			if n, err := strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64); err == nil {
				h.Boot.Time = time.Unix(n, 0).UTC()
			}
		}
	}
	uptime, _ := h.Proc.ReadFile("uptime", 128)
	if first, _, ok := strings.Cut(string(uptime), " "); ok {
		if s, err := strconv.ParseFloat(first, 64); err == nil && s >= 0 && s < 1e9 {
			h.Boot.Since = time.Duration(s * float64(time.Second))
		}
	}
}

func (h *Host) bootID() string {
	b, err := h.Proc.ReadFile("sys/kernel/random/boot_id", 64)
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b))
}

// Renew is the same host for a new package: nothing is remembered of the last
// one, the clocks are read again and the mask's key is another. It shares the
// trees of h, which therefore must stay open; only h is closed.
func (h *Host) Renew() (*Host, error) {
	n := *h
	n.memo, n.viewLock, n.View = new(sync.Map), new(sync.Mutex), h.Seen()
	if !h.Live {
		return &n, nil
	}
	if _, err := rand.Read(n.MaskKey[:]); err != nil {
		return nil, fmt.Errorf("random key for masking: %w", err)
	}
	n.forgetMounts()
	n.Patience.renew()
	n.readClock()
	return &n, nil
}

// Saw adds a fact to View.
func (h *Host) Saw(key, value string) {
	h.viewLock.Lock()
	defer h.viewLock.Unlock()
	h.View[key] = value
}

// Seen is a copy of View.
func (h *Host) Seen() map[string]string {
	h.viewLock.Lock()
	defer h.viewLock.Unlock()
	return maps.Clone(h.View)
}

// Once returns what makeIt makes, made once for a host and package: the second
// caller waits for the first and gets the same. key is a type of the caller's own.
func Once[T any](h *Host, key any, makeIt func() (T, error)) (T, error) {
	f, _ := h.memo.LoadOrStore(key, sync.OnceValues(makeIt))
	return f.(func() (T, error))()
}

// Close closes the trees.
func (h *Host) Close() error {
	var errs []error
	for _, t := range []*Tree{h.Root, h.Proc, h.Sys} {
		if t != nil {
			errs = append(errs, t.Close())
		}
	}
	return errors.Join(errs...)
}
