// Package linux gathers what a Linux host can tell: processes, sockets, files,
// the kernel's own state.
//
// It is no build tag: files are read through host.Tree, so all of it compiles,
// and is tested on trees of files, on every machine. What makes system calls of
// its own is in files named …_linux.go.
//
// Adding a collector is one file, its test on a fixture, a line in [Collectors],
// and its row type in package row.
package linux

import "swab/internal/collect"

// Collectors are all collectors of this system, in the catalogue's order.
func Collectors() []collect.Collector {
	return []collect.Collector{
		Processes(),
		Maps(),
		Sockets(),
		OpenFiles(),
		Neighbours(),
		Routes(),
		Sessions(),
		Modules(),
		Mounts(),
		System(),
		Agent(),
	}
}
