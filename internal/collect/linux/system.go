package linux

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/collect/mask"
	"swab/internal/parse/envfile"
	"swab/internal/parse/kmodule"
	"swab/internal/row"
)

// System gathers host facts: what the system is, what it runs on, how the kernel
// is set up, and what its clocks say.
//
// Source: files of /etc, procfs and sysfs, and clock_gettime, adjtimex (with no
// mode set: it only reads) and uname of the running kernel. No metadata service
// and no directory is asked. What a host lacks has no row; what may not be read is
// a miss. The files of /etc are copied as they are; one that holds a password's
// hash is left out. Secrets of the kernel's command line are masked (package mask).
//
// Privilege: none; root for serial numbers.
func System() collect.Collector { return system{} }

type system struct{}

func (system) Spec() collect.Spec {
	return collect.Spec{
		Item: "linux.system",
		Source: []string{
			"clock_gettime", "adjtimex", "uname",
			"/etc/{os-release,hostname,machine-id,hosts,resolv.conf,passwd,group,localtime,timezone,adjtime,locale.conf}",
			"/proc/sys/kernel", "/proc/cpuinfo", "/proc/meminfo", "/proc/cmdline", "/sys/class/rtc", "/sys/class/dmi/id", "/sys/kernel/security", "/sys/firmware/efi/efivars",
		},
		Timeout: 10 * time.Second,
	}
}

// systemOriginals are the files of host facts that are copied: what the system is
// and is called, the names that it knows of hosts, users and groups, and how it
// tells the time.
var systemOriginals = []string{
	"etc/os-release", "usr/lib/os-release", "etc/debian_version", "etc/redhat-release", "etc/hostname", "etc/machine-id", "etc/hosts",
	"etc/resolv.conf", "etc/passwd", "etc/group", "etc/localtime", "etc/timezone", "etc/adjtime", "etc/locale.conf", "etc/default/locale",
	"etc/selinux/config",
}

// maxFact is how much of a file of one fact is read.
const maxFact = 64 << 10

// facts are gathered in the order in which they are written.
type facts struct {
	h    *host.Host
	out  collect.Sink
	rows []row.SystemFact
}

func (system) Collect(ctx context.Context, h *host.Host, out collect.Sink) error {
	clocks := clockReadings(h, out)
	f := &facts{h: h, out: out}
	f.load()
	f.operatingSystem()
	f.kernel()
	f.security()
	f.hardware()
	f.virtualisation()
	f.links()
	if len(f.rows) == 0 {
		return fmt.Errorf("none of the files that tell of a system: %w", fs.ErrNotExist)
	}
	if err := out.Taken(ctx); err != nil {
		return err
	}
	for _, x := range clocks {
		if err := out.Row("clock", x); err != nil {
			return err
		}
	}
	for _, x := range f.rows {
		if err := out.Row("system", x); err != nil {
			return err
		}
	}
	return copyOriginals(ctx, h, out, systemOriginals)
}

// links are where those of the originals lead that are symbolic links: the
// package has what they lead to, under their name.
func (f *facts) links() {
	for _, name := range systemOriginals {
		if target, err := f.h.Root.Readlink(name); err == nil {
			f.add("Links", f.h.Root.Name(name), target, "readlink")
		}
	}
}

func (f *facts) add(group, name, value, source string) {
	if value != "" {
		f.rows = append(f.rows, row.SystemFact{Group: group, Name: name, Value: value, Source: source})
	}
}

// read is a file's bytes, and its full name. A tree that the host lacks has none,
// and neither has a file of /etc that leads to a secret: a fact's text is its file's.
func (f *facts) read(t *host.Tree, name string) ([]byte, string) {
	if t == nil {
		return nil, name
	}
	source := t.Name(name)
	if t == f.h.Root && leadsToSecret(f.h, name) {
		f.out.Missing(source, collect.ErrExcluded)
		return nil, source
	}
	b, err := t.ReadFile(name, maxFact)
	if t == f.h.Root && (privateBytes(b[:min(len(b), privateHead)]) || holdsHash(b)) {
		f.out.Missing(source, collect.ErrExcluded)
		return nil, source
	}
	if err != nil && !errors.Is(err, host.ErrTruncated) {
		if !host.Gone(err) && !errors.Is(err, host.ErrNotRegular) {
			f.out.Missing(source, err)
		}
		return nil, source
	}
	return b, source
}

// file adds a fact whose value is a file's text.
func (f *facts) file(group, name string, t *host.Tree, path string) string {
	b, source := f.read(t, path)
	value := string(bytes.TrimRight(b, "\x00\n "))
	f.add(group, name, value, source)
	return value
}

// named is a fact's name and the file that holds it.
type named struct{ name, path string }

func (f *facts) files(group string, t *host.Tree, list ...named) {
	for _, n := range list {
		f.file(group, n.name, t, n.path)
	}
}

func (f *facts) operatingSystem() {
	const group = "Operating system"
	b, source := f.read(f.h.Root, "etc/os-release")
	if b == nil {
		b, source = f.read(f.h.Root, "usr/lib/os-release")
	}
	release := envfile.Parse(b)
	for _, key := range []string{
		"PRETTY_NAME", "ID", "ID_LIKE", "VERSION_ID", "VERSION", "VERSION_CODENAME", "VARIANT", "BUILD_ID", "IMAGE_ID", "IMAGE_VERSION",
	} {
		f.add(group, strings.ToLower(key), release[key], source)
	}
	f.files(group, f.h.Root, named{"debian version", "etc/debian_version"}, named{"red hat release", "etc/redhat-release"})
	f.files(group, f.h.Proc,
		named{"host name", "sys/kernel/hostname"}, named{"NIS domain", "sys/kernel/domainname"}, named{"boot id", "sys/kernel/random/boot_id"})
	f.files(group, f.h.Root, named{"host name on disk", "etc/hostname"}, named{"machine id", "etc/machine-id"})
	if f.h.Boot.Since > 0 { // else nothing told it
		f.add(group, "boot time", f.h.Boot.Time.UTC().Format(time.RFC3339Nano), "realtime - boottime")
		f.add(group, "uptime", f.h.Boot.Since.Round(time.Second).String(), "boottime")
	}
	if target, err := f.h.Root.Readlink("etc/localtime"); err == nil {
		_, zone, ok := strings.Cut(target, "zoneinfo/")
		if !ok {
			zone = target
		}
		f.add(group, "time zone", zone, f.h.Root.Name("etc/localtime"))
	}
	f.file(group, "time zone by name", f.h.Root, "etc/timezone")
	for _, path := range []string{"etc/locale.conf", "etc/default/locale"} {
		b, source := f.read(f.h.Root, path)
		for name, value := range envfile.Pairs(b) {
			f.add(group, "locale "+name, value, source)
		}
	}
}

func (f *facts) kernel() {
	const group = "Kernel"
	f.add(group, "machine", unameMachine(f.h), "uname")
	f.files(group, f.h.Proc,
		named{"release", "sys/kernel/osrelease"}, named{"version", "sys/kernel/version"}, named{"build", "version"})
	f.commandLine(group)
	tainted, source := f.read(f.h.Proc, "sys/kernel/tainted")
	if bits, err := strconv.ParseUint(strings.TrimSpace(string(tainted)), 10, 64); err == nil {
		f.add(group, "taint", strconv.FormatUint(bits, 10), source)
		for i, t := range kmodule.Taints {
			if bits>>i&1 == 1 {
				f.add(group, "taint "+string(t.Letter), t.Text, source)
			}
		}
	}
	for _, name := range []string{
		"modules_disabled", "kexec_load_disabled", "unprivileged_bpf_disabled", "perf_event_paranoid", "kptr_restrict", "dmesg_restrict",
		"randomize_va_space", "core_pattern", "modprobe", "poweroff_cmd", "yama/ptrace_scope", "unprivileged_userns_clone", "sysrq",
	} {
		f.file(group, "kernel."+strings.ReplaceAll(name, "/", "."), f.h.Proc, "sys/kernel/"+name)
	}
	f.file(group, "user namespaces allowed", f.h.Proc, "sys/user/max_user_namespaces")
}

// commandLine adds what the kernel was started with, which may hold passwords of
// disks, shares and accounts: those are masked.
func (f *facts) commandLine(group string) {
	b, source := f.read(f.h.Proc, "cmdline")
	m := mask.New(f.h.MaskKey)
	f.add(group, "command line", m.KernelLine(string(bytes.TrimRight(b, "\x00\n "))), source)
	if n := m.Made(); n > 0 {
		f.out.Note("%d secrets of the kernel's command line are masked.", n)
	}
}

// guids of EFI variables.
const globalGUID = "8be4df61-93ca-11d2-aa0d-00e098032b8c"

func (f *facts) security() {
	const group = "Security"
	f.file(group, "security modules", f.h.Sys, "kernel/security/lsm")
	b, source := f.read(f.h.Sys, "kernel/security/lockdown")
	if _, rest, ok := strings.Cut(string(b), "["); ok { // "none [integrity] confidentiality"
		mode, _, _ := strings.Cut(rest, "]")
		f.add(group, "lockdown", mode, source)
	}
	if b, source := f.read(f.h.Sys, "fs/selinux/enforce"); len(b) > 0 {
		f.add(group, "SELinux mode", map[byte]string{'0': "permissive", '1': "enforcing"}[b[0]], source)
	}
	b, source = f.read(f.h.Root, "etc/selinux/config")
	config := envfile.Parse(b)
	f.add(group, "SELinux configured", config["SELINUX"], source)
	f.add(group, "SELinux policy", config["SELINUXTYPE"], source)
	f.files(group, f.h.Sys,
		named{"AppArmor enabled", "module/apparmor/parameters/enabled"}, named{"AppArmor mode", "module/apparmor/parameters/mode"})
	for _, name := range []string{"SecureBoot", "SetupMode"} {
		b, source := f.read(f.h.Sys, "firmware/efi/efivars/"+name+"-"+globalGUID)
		if len(b) == 5 { // four bytes of attributes, then the value
			f.add(group, "EFI "+name, map[byte]string{0: "off", 1: "on"}[b[4]], source)
		}
	}
	f.file(group, "FIPS", f.h.Proc, "sys/crypto/fips_enabled")
	if f.h.Sys == nil {
		return
	}
	const dir = "devices/system/cpu/vulnerabilities"
	list, err := f.h.Sys.ReadDir(dir, 256)
	if err != nil {
		return // a kernel that does not tell
	}
	slices.SortFunc(list, func(a, b host.Dirent) int { return cmp.Compare(a.Name, b.Name) })
	for _, e := range list {
		f.file("CPU vulnerabilities", e.Name, f.h.Sys, dir+"/"+e.Name)
	}
}

func (f *facts) hardware() {
	const group = "Hardware"
	b, source := f.read(f.h.Proc, "cpuinfo")
	cpus, model := 0, map[string]string{}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if key == "processor" {
			cpus++
		}
		if _, known := model[key]; !known && value != "" {
			model[key] = value
		}
	}
	if cpus > 0 {
		f.add(group, "processors", strconv.Itoa(cpus), source)
	}
	for _, key := range []string{"vendor_id", "model name", "cpu family", "model", "stepping", "microcode", "CPU implementer", "CPU part"} {
		f.add(group, "CPU "+strings.TrimPrefix(key, "CPU "), model[key], source)
	}
	if slices.Contains(strings.Fields(model["flags"]), "hypervisor") {
		f.add("Virtualisation", "CPU flag", "hypervisor", source)
	}
	f.file(group, "device tree model", f.h.Sys, "firmware/devicetree/base/model")
	for _, name := range []string{
		"sys_vendor", "product_name", "product_version", "product_family", "product_sku", "product_serial", "product_uuid",
		"board_vendor", "board_name", "board_version", "board_serial", "board_asset_tag", "chassis_vendor", "chassis_type", "chassis_serial",
		"chassis_asset_tag", "bios_vendor", "bios_version", "bios_date", "bios_release",
	} {
		f.file(group, "DMI "+strings.ReplaceAll(name, "_", " "), f.h.Sys, "class/dmi/id/"+name)
	}
}

func (f *facts) virtualisation() {
	const group = "Virtualisation"
	f.files(group, f.h.Sys,
		named{"hypervisor type", "hypervisor/type"}, named{"hypervisor uuid", "hypervisor/uuid"}, named{"guest type", "hypervisor/guest_type"})
	f.file(group, "container by systemd", f.h.Root, "run/systemd/container")
	for _, mark := range []string{".dockerenv", "run/.containerenv"} {
		if _, err := f.h.Root.Lstat(mark); err == nil {
			f.add(group, "container mark", f.h.Root.Name(mark), f.h.Root.Name(mark))
		}
	}
}

// load is what changes from moment to moment.
func (f *facts) load() {
	const group = "Load"
	f.file(group, "load average", f.h.Proc, "loadavg")
	b, source := f.read(f.h.Proc, "meminfo")
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "MemTotal", "MemFree", "MemAvailable", "Cached", "Dirty", "Shmem", "SwapTotal", "SwapFree":
			f.add(group, key, strings.TrimSpace(value), source)
		}
	}
	for _, what := range []string{"cpu", "memory", "io"} {
		b, source := f.read(f.h.Proc, "pressure/"+what)
		for line := range strings.Lines(string(b)) {
			kind, figures, _ := strings.Cut(strings.TrimSpace(line), " ")
			f.add(group, "pressure "+what+" "+kind, figures, source)
		}
	}
	b, source = f.read(f.h.Proc, "swaps")
	for i, line := range bytes.Split(bytes.TrimSpace(b), []byte("\n")) {
		if i > 0 {
			f.add(group, "swap", strings.Join(strings.Fields(string(line)), " "), source)
		}
	}
}
