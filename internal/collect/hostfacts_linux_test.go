package collect

import (
	"testing"
	"time"

	"swab/internal/collect/host"
	"swab/internal/collect/host/hosttest"
)

func TestFactsNameTheDistributionAsDefenderDoes(t *testing.T) {
	for _, c := range []struct{ release, platform, version string }{
		{"ID=debian\nVERSION_ID=\"12\"\n", "Debian", "12.11"},
		{"ID=ubuntu\nVERSION_ID=\"24.04\"\n", "Ubuntu", "24.04"},
		{"ID=\"rhel\"\nVERSION_ID=\"9.4\"\n", "RedHatEnterpriseLinux", "9.4"},
		{"ID=\"ol\"\nVERSION_ID=\"8.9\"\n", "OracleLinux", "8.9"},
		{"ID=alpine\nVERSION_ID=3.20.1\n", "Linux", "3.20.1"},
		{"", "Linux", ""},
	} {
		f := Facts(hosttest.New(t, hosttest.Files{
			"etc/os-release": c.release, "etc/debian_version": "12.11\n", "proc/sys/kernel/hostname": "Web1\n",
			"proc/sys/kernel/random/boot_id": "boot\n", "etc/hosts": "127.0.0.1 localhost\n192.0.2.7 web1.example.org web1 # x\n",
		}))
		if f.Platform != c.platform || f.Version != c.version || f.Name != "web1.example.org" || f.BootID != "boot" || f.System != "linux" {
			t.Errorf("%q: %+v", c.release, f)
		}
	}
}

func TestNameWithoutDomainStandsAlone(t *testing.T) {
	for _, hosts := range []string{"", "127.0.1.1\n", "127.0.1.1 web1\n", "192.0.2.8 other.example.org other web1x\n"} {
		if got := fullName("web1", []byte(hosts)); got != "web1" {
			t.Errorf("fullName with %q = %q", hosts, got)
		}
	}
}

func TestFactsOfTheRunningHostHaveItsAddresses(t *testing.T) {
	h, err := host.Live(host.Options{Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	f := Facts(h)
	loopback := false
	for _, a := range f.Addresses {
		loopback = loopback || a.IP == "127.0.0.1" && a.Type == "SoftwareLoopback" && a.Up
	}
	if !loopback || f.Name == "" || f.BootID == "" || f.Arch == "" {
		t.Errorf("%+v", f)
	}
}
