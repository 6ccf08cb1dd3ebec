package agent

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	capSysNice = 1 << 23 // capability(7)

	niceLow = 10

	// ioprio_set(2): best effort, the last of its levels. The idle class could
	// keep a package waiting for ever on a busy disk.
	ioprioWhoProcess = 1
	ioprioLow        = 2<<13 | 7
	ioprioNone       = 0
)

// lowerPriority lets everything else on the device go first, until what it
// returns is called. Who may not raise a priority again does not lower it.
func lowerPriority(capabilities uint64) (restore func()) {
	if capabilities&capSysNice == 0 {
		return func() {}
	}
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return func() {}
	}
	was := 20 - raw // the system call's own scale
	setPriority(max(was, niceLow), ioprioLow)
	return func() { setPriority(was, ioprioNone) }
}

// setPriority sets the priority of each thread: on Linux it is the thread's own,
// and a new thread has that of the one that made it.
func setPriority(nice, io int) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		// A thread may have ended meanwhile, and none of it matters enough to fail.
		_ = unix.Setpriority(unix.PRIO_PROCESS, id, nice)
		_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, uintptr(id), uintptr(io))
	}
}
