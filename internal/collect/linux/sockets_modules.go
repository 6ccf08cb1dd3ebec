package linux

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"strings"

	"swab/internal/collect/host"
	"swab/internal/parse/kmodule"
)

// diagModules is the parts of sock_diag that are there to answer. Asked for one
// that is not, the kernel would run the host's modprobe to load it: a program
// that an attacker may have replaced, and a change to the very list that is
// evidence. So nothing is asked of a part that is not there; the tables in /proc
// tell in its place, with less.
type diagModules struct {
	any   bool // asking loads nothing on this kernel
	there map[string]bool
	left  map[string]bool // what was not asked
}

// maxBuiltin bounds the list of what is built into a kernel: 1 MiB; it has some
// 200 KiB.
const maxBuiltin = 1 << 20

func findDiagModules(h *host.Host) *diagModules {
	d := &diagModules{there: map[string]bool{}, left: map[string]bool{}}
	loaded, err := h.Proc.ReadFile("modules", kmodule.MaxList)
	if errors.Is(err, fs.ErrNotExist) {
		d.any = true // the kernel has no modules at all
		return d
	}
	if off, err := h.Proc.ReadFile("sys/kernel/modules_disabled", 16); err == nil && strings.TrimSpace(string(off)) == "1" {
		d.any = true // and will load none
		return d
	}
	for m, err := range kmodule.List(loaded) {
		if err == nil && strings.HasSuffix(m.Name, "_diag") {
			d.there[m.Name] = true
		}
	}
	release, err := h.Proc.ReadFile("sys/kernel/osrelease", 256)
	if err != nil {
		return d
	}
	builtin, _ := h.Root.ReadFile("lib/modules/"+strings.TrimSpace(string(release))+"/modules.builtin", maxBuiltin)
	for line := range bytes.Lines(builtin) {
		if name, ok := strings.CutSuffix(path.Base(strings.TrimSpace(string(line))), ".ko"); ok && strings.HasSuffix(name, "_diag") {
			d.there[name] = true
		}
	}
	return d
}

// may says whether all of the modules are there to answer.
func (d *diagModules) may(modules ...string) bool {
	for _, m := range modules {
		if !d.has(m) {
			d.left[m] = true
			return false
		}
	}
	return true
}

// has says whether a module is there to answer.
func (d *diagModules) has(module string) bool { return d.any || d.there[module] }

// diagOf names the modules that answer for a protocol of inetTables.
func diagOf(transport string) []string {
	switch transport {
	case "udplite":
		transport = "udp"
	}
	return []string{"inet_diag", transport + "_diag"}
}
