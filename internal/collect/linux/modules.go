package linux

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/collect/mask"
	"swab/internal/parse/kmodule"
	"swab/internal/row"
)

// Modules gathers the kernel modules that are loaded, by both of the kernel's
// lists, with the files that their names lead to.
//
// Source: /proc/modules and /sys/module (directories with `initstate`, so not
// what is built in): a module in one list alone hides from the other, and is
// flagged. The file is found by modules.dep, else by a bounded walk of
// /lib/modules/RELEASE; it is hashed as it lies there and uncompressed, and read
// for .modinfo and who signed it. That file need not be what was loaded: where
// its source version differs from the loaded module's, the row is flagged.
// Secrets among the parameters are masked (package mask).
//
// Privilege: none; CAP_SYSLOG for addresses. A kernel that can't load modules has
// no /proc/modules: absent.
func Modules() collect.Collector { return modules{} }

type modules struct{}

func (modules) Spec() collect.Spec {
	return collect.Spec{
		Item:    "linux.modules",
		Source:  []string{"/proc/modules", "/sys/module", "/lib/modules"},
		Timeout: 60 * time.Second,
	}
}

// Bounds of /sys/module.
const (
	maxModules    = 4096
	maxParameters = 256     // of one module
	maxAttribute  = 4 << 10 // bytes of one file of sysfs
)

func (modules) Collect(ctx context.Context, h *host.Host, out collect.Sink) error {
	if h.Proc == nil {
		return fmt.Errorf("procfs: %w", fs.ErrNotExist)
	}
	rows := map[string]*row.Module{}
	procErr := listed(h, out, rows)
	if procErr != nil && !host.Gone(procErr) {
		out.Missing("/proc/modules", procErr)
	}
	sysErr := inSysfs(ctx, h, out, rows)
	if sysErr != nil {
		if context.Cause(ctx) != nil {
			return context.Cause(ctx)
		}
		out.Missing("/sys/module", sysErr)
	}
	if len(rows) == 0 && host.Gone(procErr) {
		if sysErr != nil && !host.Gone(sysErr) {
			return fmt.Errorf("/proc/modules is not there, and whether modules are loaded can't be told: %w", sysErr)
		}
		return fmt.Errorf("the kernel loads no modules: %w", procErr)
	}
	for _, m := range rows {
		compareLists(m, procErr == nil, sysErr == nil)
	}
	if err := out.Taken(ctx); err != nil {
		return err
	}
	files := newModuleFiles(h, out)
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		m := rows[name]
		if err := files.describe(ctx, m); err != nil {
			return err
		}
		if err := out.Row("modules", *m); err != nil {
			return err
		}
	}
	return nil
}

// listed reads /proc/modules.
func listed(h *host.Host, out collect.Sink, rows map[string]*row.Module) error {
	data, err := h.Proc.ReadFile("modules", kmodule.MaxList)
	if errors.Is(err, host.ErrTruncated) {
		out.Truncated(fmt.Sprintf("/proc/modules is longer than %d bytes", kmodule.MaxList), 0, 0)
		err = nil
	}
	if err != nil {
		return err
	}
	for m, err := range kmodule.List(data) {
		if err != nil {
			out.Missing("line of /proc/modules", err)
			continue
		}
		x := &row.Module{
			Name: m.Name, Size: m.Size, UsedBy: m.Users, State: m.State, Taint: m.Taint, InProc: row.Yes,
		}
		if m.Address != 0 {
			x.Address = fmt.Sprintf("0x%016x", m.Address)
		}
		if m.RefCount >= 0 {
			x.RefCount = row.Num(m.RefCount)
		}
		if m.Permanent {
			x.Note = "can't be unloaded"
		}
		rows[m.Name] = x
	}
	return nil
}

// inSysfs reads /sys/module. It adds modules that the other list lacks.
func inSysfs(ctx context.Context, h *host.Host, out collect.Sink, rows map[string]*row.Module) error {
	if h.Sys == nil {
		return fmt.Errorf("sysfs: %w", fs.ErrNotExist)
	}
	dirs, err := h.Sys.ReadDir("module", maxModules)
	if errors.Is(err, host.ErrTruncated) {
		out.Truncated(fmt.Sprintf("more than %d directories in /sys/module", maxModules), 0, 0)
		err = nil
	}
	if err != nil {
		return err
	}
	secrets := mask.New(h.MaskKey)
	defer func() {
		if n := secrets.Made(); n > 0 {
			out.Note("%d secrets among the parameters of modules are masked.", n)
		}
	}()
	for _, d := range dirs {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		dir := "module/" + d.Name
		state, err := attribute(h.Sys, dir+"/initstate")
		if err != nil {
			if !host.Gone(err) { // else it is built in, or was unloaded meanwhile
				out.Missing("state of a module in /sys/module", err)
			}
			continue
		}
		m := rows[d.Name]
		if m == nil {
			m = &row.Module{Name: d.Name, State: state}
			rows[d.Name] = m
		}
		m.InSys = row.Yes
		sysfsFacts(h.Sys, dir, m, secrets)
	}
	return nil
}

// sysfsFacts fills in what sysfs knows of a module and /proc/modules does not.
func sysfsFacts(sys *host.Tree, dir string, m *row.Module, secrets *mask.Masker) {
	text := func(name string) string { s, _ := attribute(sys, dir+"/"+name); return s }
	m.Version, m.SrcVersion = text("version"), text("srcversion")
	m.Taint = cmp.Or(m.Taint, text("taint"))
	if m.InProc != row.Yes {
		m.Size, _ = strconv.ParseInt(text("coresize"), 10, 64)
		if n, err := strconv.ParseInt(text("refcnt"), 10, 64); err == nil {
			m.RefCount = row.Num(n)
		}
		if holders, err := sys.ReadDir(dir+"/holders", maxModules); err == nil {
			for _, e := range holders {
				m.UsedBy = append(m.UsedBy, e.Name)
			}
		}
	}
	if m.Address == "" {
		if a := text("sections/.text"); strings.Trim(a, "0x") != "" {
			m.Address = a
		}
	}
	parameters, err := sys.ReadDir(dir+"/parameters", maxParameters)
	if err != nil {
		return // it has none
	}
	slices.SortFunc(parameters, func(a, b host.Dirent) int { return cmp.Compare(a.Name, b.Name) })
	for _, p := range parameters {
		value, err := attribute(sys, dir+"/parameters/"+p.Name)
		if err != nil {
			value = "(not readable)" // many are for writing alone
		} else {
			value = secrets.Setting(p.Name, value)
		}
		m.Parameters = append(m.Parameters, p.Name+"="+value)
	}
}

// attribute is the text of a file of sysfs.
func attribute(sys *host.Tree, name string) (string, error) {
	b, err := sys.ReadFile(name, maxAttribute)
	if err != nil && !errors.Is(err, host.ErrTruncated) {
		return "", err
	}
	return strings.TrimRight(string(b), "\x00\n "), nil
}

// compareLists flags what hides from one of the lists, and spells out taints.
func compareLists(m *row.Module, proc, sys bool) {
	if proc && m.InProc == "" {
		m.InProc = row.No
	}
	if sys && m.InSys == "" {
		m.InSys = row.No
	}
	switch {
	case m.InProc == row.No:
		flag(m, "in /sys/module and not in /proc/modules: it may hide")
	case m.InSys == row.No && m.State == "Live":
		flag(m, "in /proc/modules and not in /sys/module: it may hide")
	}
	for _, letter := range []byte(m.Taint) {
		m.TaintText = append(m.TaintText, kmodule.TaintOf(letter))
	}
}

// flag marks a row and adds to its note.
func flag(m *row.Module, why string) {
	m.Flag = true
	note(m, why)
}

func note(m *row.Module, text string) {
	if m.Note != "" {
		m.Note += "; "
	}
	m.Note += text
}
