package host

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// How names resolve in each kind of tree. In the root an absolute link means a
// place in the root (a fixture is read like a chroot). In procfs and sysfs
// nothing may be mounted over what is read: such a mount hides a process, or is
// a trap that never answers.
const (
	resolveRoot = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	resolveProc = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV
)

// openRoot opens a directory as a root tree.
func openRoot(dir string, live bool) (*Tree, error) {
	fd, err := openRetry(unix.AT_FDCWD, dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", dir, err)
	}
	h := handle{fd: fd, resolve: resolveRoot, self: unix.AT_FDCWD}
	if probe, err := h.openAt(".", unix.O_PATH); err == nil {
		unix.Close(probe)
	} else if errNoOpenat2(err) {
		h.walk = true
	}
	return &Tree{handle: h, live: live}, nil
}

// openLive opens the trees of the running system.
func (h *Host) openLive() error {
	root, err := openRoot("/", true)
	if err != nil {
		return err
	}
	h.adopt(root, "/")
	h.View["openat2"] = "yes"
	if root.handle.walk {
		h.View["openat2"] = "no: links are not followed"
	}
	proc, err := detachedProc()
	h.View["procfs"] = "detached"
	if err != nil {
		h.View["procfs"] = "mounted: " + err.Error()
		if proc, err = openRetry(unix.AT_FDCWD, "/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC); err != nil {
			return fmt.Errorf("open directory /proc: %w", err)
		}
	}
	h.Proc = h.kernelTree(proc, "/proc", proc)
	root.handle.self = proc
	root.handle.local = newLocal(h.Proc, root.handle.fd, proc)
	h.Proc.handle.local = root.handle.local
	if sys, err := openRetry(unix.AT_FDCWD, "/sys", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC); err == nil {
		h.Sys = h.kernelTree(sys, "/sys", proc)
		h.Sys.handle.resolve &^= unix.RESOLVE_NO_XDEV // cgroup, tracing and others are mounts below it
	}
	h.privileges()
	h.Boot.ID = h.bootID()
	return nil
}

// forgetMounts makes a new package look at the mounts anew.
func (h *Host) forgetMounts() { h.Root.handle.local.renew() }

func (h *Host) kernelTree(fd int, path string, self int) *Tree {
	hd := handle{fd: fd, resolve: resolveProc, walk: h.Root.handle.walk, self: self, local: h.Root.handle.local}
	return &Tree{handle: hd, path: path, kernel: true, live: true, patience: h.Patience}
}

// detachedProc mounts a procfs that is in no mount table: nothing can be
// mounted over it, and it has no hidepid.
func detachedProc() (int, error) {
	fs, err := unix.Fsopen("proc", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fsopen: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("fsconfig: %w", err)
	}
	const attributes = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		return -1, fmt.Errorf("fsmount: %w", err)
	}
	return fd, nil
}

// wanted are the capabilities that a whole collection takes.
var wanted = map[string]uint{
	"cap_dac_read_search": unix.CAP_DAC_READ_SEARCH, "cap_sys_ptrace": unix.CAP_SYS_PTRACE, "cap_sys_admin": unix.CAP_SYS_ADMIN,
	"cap_net_admin": unix.CAP_NET_ADMIN, "cap_fowner": unix.CAP_FOWNER, "cap_syslog": unix.CAP_SYSLOG,
}

// privileges reads what the agent may do.
func (h *Host) privileges() {
	status, err := h.Proc.ReadFile("self/status", 64<<10)
	if err != nil {
		h.View["privileges"] = "unknown: " + err.Error()
		return
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "CapEff:"); ok {
			h.Self.Capabilities, _ = strconv.ParseUint(strings.TrimSpace(rest), 16, 64)
		}
	}
	var have, lack []string
	for _, name := range []string{"cap_dac_read_search", "cap_fowner", "cap_net_admin", "cap_sys_admin", "cap_sys_ptrace", "cap_syslog"} {
		if h.Self.Capabilities>>wanted[name]&1 == 1 {
			have = append(have, name)
		} else {
			lack = append(lack, name)
		}
	}
	h.View["privileges"] = strings.Join(have, " ")
	h.View["missing"] = strings.Join(lack, " ")
	h.Self.Root = len(lack) == 0
	// The first PID namespace has a number that never changes: any other sees a
	// part of the machine's processes.
	if ns, err := h.Proc.Readlink("self/ns/pid"); err == nil {
		h.View["pid namespace"] = strings.Replace(ns, "pid:[4026531836]", "first", 1)
	}
}

// readClock reads both clocks together.
func (h *Host) readClock() {
	var boot unix.Timespec
	before := h.Clock()
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		return
	}
	after := h.Clock()
	h.Boot.Since = time.Duration(boot.Nano())
	h.Boot.Time = before.Add(after.Sub(before) / 2).Add(-h.Boot.Since).UTC()
}

// NTPSynchronised is what the kernel's clock says of itself, by adjtimex with
// no modes set (it only reads); false, with an error, where it does not say.
func (h *Host) NTPSynchronised() (bool, error) {
	if !h.Live {
		return false, errors.New("a tree of files has no clock")
	}
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, fmt.Errorf("adjtimex: %w", err)
	}
	return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, nil
}
