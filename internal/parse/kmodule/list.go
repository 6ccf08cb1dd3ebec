// Package kmodule reads what there is to know of kernel modules: the list of
// loaded ones, and module files with what they say of themselves and who signed
// them. It loads nothing.
package kmodule

import (
	"bytes"
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// MaxList bounds /proc/modules.
const MaxList = 4 << 20

// Loaded is a line of /proc/modules.
type Loaded struct {
	Name      string
	Size      int64 // bytes of memory
	RefCount  int64 // -1 where the kernel can't unload modules
	Users     []string
	Permanent bool   // can't be unloaded
	State     string // Live, Loading, Unloading
	Address   uint64 // 0 where the reader may not know it
	Taint     string // letters: "OE"
}

// List reads /proc/modules, a line at a time: one that can't be read is an error
// of its own.
func List(data []byte) iter.Seq2[Loaded, error] {
	return func(yield func(Loaded, error) bool) {
		for line := range bytes.Lines(data) {
			line = bytes.TrimSpace(line)
			if len(line) == 0 {
				continue
			}
			m, err := loaded(string(line))
			if err != nil {
				err = fmt.Errorf("line %.200q: %w", line, err)
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

func loaded(line string) (Loaded, error) {
	f := strings.Fields(line)
	if len(f) < 6 {
		return Loaded{}, fmt.Errorf("%d fields where 6 belong", len(f))
	}
	m := Loaded{Name: f[0], RefCount: -1, State: f[4]}
	var err error
	if m.Size, err = strconv.ParseInt(f[1], 10, 64); err != nil {
		return Loaded{}, err
	}
	if f[2] != "-" {
		if m.RefCount, err = strconv.ParseInt(f[2], 10, 64); err != nil {
			return Loaded{}, err
		}
	}
	for user := range strings.SplitSeq(f[3], ",") {
		switch user {
		case "", "-":
		case "[permanent]":
			m.Permanent = true
		default:
			m.Users = append(m.Users, user)
		}
	}
	if m.Address, err = strconv.ParseUint(strings.TrimPrefix(f[5], "0x"), 16, 64); err != nil {
		return Loaded{}, err
	}
	if len(f) > 6 {
		m.Taint = strings.Trim(f[6], "()")
	}
	return m, nil
}

// Name is a module's name as the kernel writes it, from that of its file:
// "kernel/net/sch-x.ko.zst" is "sch_x".
func Name(file string) (string, bool) {
	base := file[strings.LastIndexByte(file, '/')+1:]
	name, ext, ok := strings.Cut(base, ".ko")
	if !ok || name == "" || (ext != "" && ext != ".gz" && ext != ".xz" && ext != ".zst") {
		return "", false
	}
	return strings.ReplaceAll(name, "-", "_"), true
}

// Files reads modules.dep: the file of each module that depmod has seen,
// relative to the directory of the kernel's release.
func Files(dep []byte) map[string]string {
	files := map[string]string{}
	for line := range bytes.Lines(dep) {
		file, _, ok := strings.Cut(string(line), ":")
		if !ok {
			continue
		}
		if name, ok := Name(file); ok {
			files[name] = file
		}
	}
	return files
}

// TaintOf spells out a letter of a kernel's or a module's taint
// (Documentation/admin-guide/tainted-kernels.rst).
func TaintOf(letter byte) string {
	for _, t := range Taints {
		if t.Letter == letter {
			return t.Text
		}
	}
	return "unknown"
}

// Taints are the kernel's reasons, the first of bit 0.
var Taints = [...]struct {
	Letter byte
	Text   string
}{
	{'P', "proprietary module was loaded"},
	{'F', "module was force loaded"},
	{'S', "kernel runs out of specification"},
	{'R', "module was force unloaded"},
	{'M', "processor reported a machine check"},
	{'B', "bad page was found"},
	{'U', "taint asked for by user space"},
	{'D', "kernel died: oops or bug"},
	{'A', "ACPI table was overridden"},
	{'W', "kernel issued a warning"},
	{'C', "staging driver was loaded"},
	{'I', "workaround for a firmware bug"},
	{'O', "module from outside the kernel's tree was loaded"},
	{'E', "unsigned module was loaded"},
	{'L', "soft lockup occurred"},
	{'K', "kernel was live patched"},
	{'X', "auxiliary taint of the distribution"},
	{'T', "kernel was built with the struct randomisation plugin"},
	{'N', "in-kernel test was run"},
	{'J', "user space used a mutating debug operation in fwctl"},
}
