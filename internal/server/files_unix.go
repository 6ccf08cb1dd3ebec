//go:build unix

package server

import "syscall"

// openFiles is how many files and connections this process may have open at
// once; 0 for no limit. Go has raised it as far as it may be raised.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	if limit.Cur > 1<<40 { // RLIM_INFINITY, which systems write differently
		return 0
	}
	return uint64(limit.Cur) //nolint:unconvert // FreeBSD has a signed one
}
