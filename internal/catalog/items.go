package catalog

import (
	"slices"
	"sync"
)

// Current is the catalogue of this release.
var Current = sync.OnceValue(func() Catalog {
	c := Catalog{Release: "0.1.0"}
	for _, profile := range []string{"volatile", "triage"} {
		for _, system := range []string{"linux", "windows", "darwin"} {
			c.Plans = append(c.Plans, Plan{Format: PlanFormat, Profile: profile, System: system, Items: items(system)})
		}
	}
	return c
})

// Releases is every catalogue that was ever released, the newest first, so that
// a package of an old agent still verifies. A release that changes a plan adds
// the one before it here.
var Releases = sync.OnceValue(func() []Catalog { return []Catalog{Current()} })

// items is what there is to take from a system, in the order in which it is
// taken. The same things are asked of every system; where one has no collector
// for a thing yet, its ledger says so.
func items(system string) []Item {
	all := []Item{
		{Name: "processes", Stage: Volatile, Folder: "Processes", Tables: []string{"processes", "recovered"},
			Title: "Running processes with the hashes of their executables; executables that were deleted or never had a file"},
		{Name: "maps", Stage: Volatile, Folder: "Processes", Tables: []string{"maps"},
			Title: "Memory maps of note: writable and executable, deleted, or replaced"},
		{Name: "sockets", Stage: Volatile, Folder: "Network connections",
			Tables: []string{"active_connections", "listening", "unix", "packet", "netlink"},
			Title:  "Sockets of every network namespace with their processes"},
		{Name: "open_files", Stage: Volatile, Folder: "File", Tables: []string{"open_files"},
			Title: "Open files of every process"},
		{Name: "neighbours", Stage: Volatile, Folder: "Network connections", Tables: []string{"arp"},
			Title: "Neighbours: ARP and NDP"},
		{Name: "routes", Stage: Volatile, Folder: "Network connections", Tables: []string{"routes", "interfaces"},
			Title: "Routes, interfaces and addresses"},
		{Name: "sessions", Stage: Volatile, Folder: "Users and Groups", Tables: []string{"sessions"},
			Title: "Logged-on users"},
		{Name: "modules", Stage: Volatile, Folder: "Kernel modules", Tables: []string{"modules"},
			Title: "Kernel modules"},
		{Name: "mounts", Stage: Volatile, Folder: "Disk volume", Tables: []string{"mounts"},
			Title: "Mounts of every mount namespace"},
		{Name: "system", Stage: Volatile, Folder: "System Information", Tables: []string{"system", "clock"},
			Title: "Host facts: system, kernel, hardware, clocks"},
		{Name: "agent", Stage: Volatile, Folder: "System Information", Tables: []string{"agent"},
			Title: "The agent's own footprint"},
	}
	for i := range all {
		all[i].Name = system + "." + all[i].Name
		all[i].Version = 1
	}
	slices.SortStableFunc(all, func(a, b Item) int { return int(a.Stage) - int(b.Stage) })
	return all
}
