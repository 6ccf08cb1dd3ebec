package collect

import (
	"strings"

	"swab/internal/collect/host"
	"swab/internal/device"
	"swab/internal/parse/envfile"
)

// platforms are Defender's names of distributions, by os-release's ID.
var platforms = map[string]string{
	"debian": "Debian", "ubuntu": "Ubuntu", "rhel": "RedHatEnterpriseLinux", "centos": "CentOS", "fedora": "Fedora", "sles": "SLES",
	"sled": "SLES", "amzn": "AmazonLinux", "ol": "OracleLinux",
}

// systemFacts reads what a distribution says of itself.
func systemFacts(h *host.Host, f *device.Facts) {
	f.Platform = "Linux"
	release := envfile.Parse(firstOf(h.Root, "etc/os-release", "usr/lib/os-release"))
	if name, ok := platforms[release["ID"]]; ok {
		f.Platform = name
	}
	f.Version = release["VERSION_ID"]
	// Debian's VERSION_ID has no point release; its own file has.
	if point := strings.TrimSpace(string(firstOf(h.Root, "etc/debian_version"))); release["ID"] == "debian" && strings.HasPrefix(point, f.Version+".") {
		f.Version = point
	}
	var name []byte
	if h.Proc != nil {
		name = firstOf(h.Proc, "sys/kernel/hostname")
	}
	if len(name) == 0 {
		name = firstOf(h.Root, "etc/hostname")
	}
	f.Name = fullName(strings.TrimSpace(string(name)), firstOf(h.Root, "etc/hosts"))
}

// firstOf is the first of the files that can be read.
func firstOf(t *host.Tree, names ...string) []byte {
	for _, name := range names {
		if b, err := t.ReadFile(name, envfile.MaxBytes); err == nil {
			return b
		}
	}
	return nil
}

// fullName is a host's name with its domain, where the hosts file knows it: the
// first name on a line is the full one.
func fullName(host string, hosts []byte) string {
	if host == "" || strings.Contains(host, ".") {
		return host
	}
	for line := range strings.Lines(string(hosts)) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		for _, name := range f[min(1, len(f)):] {
			if first, _, ok := strings.Cut(f[1], "."); ok && strings.EqualFold(first, host) && strings.EqualFold(name, host) {
				return f[1]
			}
		}
	}
	return host
}
