package linux

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"swab/internal/collect/host/hosttest"
	"swab/internal/row"
)

// value is a fact's value; "" where there is none.
func value(rows []row.SystemFact, group, name string) string {
	i := slices.IndexFunc(rows, func(f row.SystemFact) bool { return f.Group == group && f.Name == name })
	if i < 0 {
		return ""
	}
	return rows[i].Value
}

func TestHostFactsAreCollected(t *testing.T) {
	out := gather(t, System(), hosttest.New(t, hosttest.Files{
		"etc/os-release":                           "-> ../usr/lib/os-release",
		"usr/lib/os-release":                       "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID=\"12\"\n",
		"etc/machine-id":                           "0123456789abcdef0123456789abcdef\n",
		"etc/localtime":                            "-> /usr/share/zoneinfo/Europe/Zurich",
		"etc/locale.conf":                          "LANG=de_CH.UTF-8\n",
		"etc/adjtime":                              "0.0 0 0.0\n0\nLOCAL\n",
		"etc/selinux/config":                       "SELINUX=enforcing\nSELINUXTYPE=targeted\n",
		".dockerenv":                               "",
		"proc/stat":                                "btime 1700000000\n",
		"proc/uptime":                              "100.50 1.00\n",
		"proc/loadavg":                             "0.10 0.20 0.30 1/100 4242\n",
		"proc/meminfo":                             "MemTotal:       1024 kB\nMemFree: 1 kB\nHugepagesize: 2048 kB\n",
		"proc/swaps":                               "Filename\tType\tSize\tUsed\tPriority\n/dev/sda2  partition 1024 0 -2\n",
		"proc/cmdline":                             "root=/dev/vda ro\n",
		"proc/cpuinfo":                             "processor\t: 0\nmodel name\t: A CPU\nflags\t\t: fpu hypervisor\n\nprocessor\t: 1\nmodel name\t: A CPU\n",
		"proc/sys/kernel/tainted":                  "12288\n",
		"proc/sys/kernel/hostname":                 "host1\n",
		"proc/sys/kernel/random/boot_id":           "boot\n",
		"proc/sys/kernel/osrelease":                "6.1.0\n",
		"sys/kernel/security/lockdown":             "none [integrity] confidentiality\n",
		"sys/kernel/security/lsm":                  "capability,selinux",
		"sys/fs/selinux/enforce":                   "1",
		"sys/class/dmi/id/sys_vendor":              "A Vendor\n",
		"sys/class/rtc/rtc0/since_epoch":           "1700003700\n",
		"sys/devices/system/cpu/vulnerabilities/x": "Not affected\n",
		"sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c": "\x06\x00\x00\x00\x01",
	}))
	rows := rowsOf[row.SystemFact](out, "system")
	for _, w := range []row.SystemFact{
		{Group: "Operating system", Name: "id", Value: "debian"}, {Group: "Operating system", Name: "version_id", Value: "12"},
		{Group: "Operating system", Name: "machine id", Value: "0123456789abcdef0123456789abcdef"},
		{Group: "Operating system", Name: "host name", Value: "host1"}, {Group: "Operating system", Name: "time zone", Value: "Europe/Zurich"},
		{Group: "Operating system", Name: "locale LANG", Value: "de_CH.UTF-8"}, {Group: "Operating system", Name: "uptime", Value: "1m41s"},
		{Group: "Kernel", Name: "command line", Value: "root=/dev/vda ro"}, {Group: "Kernel", Name: "release", Value: "6.1.0"},
		{Group: "Kernel", Name: "taint O", Value: "module from outside the kernel's tree was loaded"},
		{Group: "Kernel", Name: "taint E", Value: "unsigned module was loaded"},
		{Group: "Security", Name: "lockdown", Value: "integrity"}, {Group: "Security", Name: "SELinux mode", Value: "enforcing"},
		{Group: "Security", Name: "SELinux policy", Value: "targeted"}, {Group: "Security", Name: "EFI SecureBoot", Value: "on"},
		{Group: "CPU vulnerabilities", Name: "x", Value: "Not affected"}, {Group: "Hardware", Name: "processors", Value: "2"},
		{Group: "Hardware", Name: "CPU model name", Value: "A CPU"}, {Group: "Hardware", Name: "DMI sys vendor", Value: "A Vendor"},
		{Group: "Virtualisation", Name: "CPU flag", Value: "hypervisor"}, {Group: "Virtualisation", Name: "container mark", Value: "/.dockerenv"},
		{Group: "Load", Name: "MemTotal", Value: "1024 kB"}, {Group: "Load", Name: "swap", Value: "/dev/sda2 partition 1024 0 -2"},
	} {
		if got := value(rows, w.Group, w.Name); got != w.Value {
			t.Errorf("%s, %s = %q, want %q", w.Group, w.Name, got, w.Value)
		}
	}
	if value(rows, "Load", "Hugepagesize") != "" {
		t.Error("every line of meminfo was taken")
	}

	clocks := map[string]row.ClockReading{}
	for _, c := range rowsOf[row.ClockReading](out, "clock") {
		clocks[c.Name] = c
	}
	now := time.Unix(1700000100, 5e8).UTC()
	if !clocks["realtime"].Time.Equal(now) || clocks["boottime"].Seconds != 100.5 || clocks["rtc keeps"].Value != "LOCAL" {
		t.Errorf("clocks: %+v", clocks)
	}
	if c := clocks["rtc0"]; c.Time.Unix() != 1700003700 || c.Seconds < 3598 || c.Seconds > 3601 {
		t.Errorf("the hardware's clock: %+v", c)
	}
}

func TestHostFactsAreAbsentFromAnEmptyTree(t *testing.T) {
	if err := System().Collect(t.Context(), hosttest.New(t, hosttest.Files{"x": ""}), &recorder{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want fs.ErrNotExist", err)
	}
}

func TestFactThatMayNotBeReadIsRecorded(t *testing.T) {
	files := hosttest.Files{"proc/stat": "btime 1\n", "proc/loadavg": "0 0 0\n", "sys/class/dmi/id/product_serial/": ""}
	out := gather(t, System(), hosttest.New(t, files))
	if len(out.rows["system"]) == 0 {
		t.Error("the other facts were not kept")
	}
}

func TestHostFactsAgreeWithTheKernel(t *testing.T) {
	out := gather(t, System(), running(t))
	rows := rowsOf[row.SystemFact](out, "system")
	b, err := exec.Command("uname", "-rm").Output()
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b))
	if got := []string{value(rows, "Kernel", "release"), value(rows, "Kernel", "machine")}; !slices.Equal(got, f) {
		t.Errorf("kernel = %v, uname says %v", got, f)
	}
	name, err := os.Hostname()
	if err != nil || value(rows, "Operating system", "host name") != name {
		t.Errorf("host name = %q, want %q, %v", value(rows, "Operating system", "host name"), name, err)
	}
	for _, c := range rowsOf[row.ClockReading](out, "clock") {
		if c.Name == "realtime" && time.Since(c.Time).Abs() > time.Minute {
			t.Errorf("realtime = %v", c.Time)
		}
	}
}

func TestSecretsOfTheKernelsCommandLineAreMasked(t *testing.T) {
	out := gather(t, System(), hosttest.New(t, hosttest.Files{
		"proc/cmdline": "root=/dev/vda ip=10.0.0.2:h rd.iscsi.password=S3cret rd.luks.key=S3cret:UUID=1\n",
	}))
	line := value(rowsOf[row.SystemFact](out, "system"), "Kernel", "command line")
	if strings.Contains(line, "S3cret") || strings.Count(line, "[masked ") != 2 || !strings.HasPrefix(line, "root=/dev/vda ip=10.0.0.2:h rd.iscsi.password=[") {
		t.Errorf("command line = %q", line)
	}
	if want := []string{"2 secrets of the kernel's command line are masked."}; len(out.notes) == 0 || !slices.Equal(out.notes[:1], want) {
		t.Errorf("notes = %q, want %q first", out.notes, want)
	}
}
