package agent

import (
	"bufio"
	"io"
	"os"
	"strings"

	"swab/internal/device"
)

// openExecutable opens the program as it runs, also where its file was replaced.
func openExecutable() (*os.File, error) { return os.Open("/proc/self/exe") }

// surveySystem reads what a distribution says of itself.
func surveySystem(f *device.Facts) {
	f.BootID = firstLine("/proc/sys/kernel/random/boot_id")
	f.Platform = "Linux"
	release := osRelease("/etc/os-release")
	if release == nil {
		release = osRelease("/usr/lib/os-release")
	}
	if name, ok := platforms[release["ID"]]; ok {
		f.Platform = name
	}
	f.Version = release["VERSION_ID"]
	if release["ID"] == "debian" {
		// VERSION_ID has no point release.
		if v := firstLine("/etc/debian_version"); strings.HasPrefix(v, f.Version) {
			f.Version = v
		}
	}
}

// platforms are the names that Defender gives distributions, by os-release's ID.
var platforms = map[string]string{
	"debian": "Debian", "ubuntu": "Ubuntu", "rhel": "RedHatEnterpriseLinux", "centos": "CentOS", "fedora": "Fedora",
	"ol": "OracleLinux", "amzn": "AmazonLinux", "rocky": "RockyLinux", "almalinux": "AlmaLinux", "sles": "SUSELinux",
	"opensuse-leap": "SUSELinux", "alpine": "Linux", "mariner": "Mariner", "azurelinux": "AzureLinux",
}

// maxRelease bounds a file that should have a few lines.
const maxRelease = 64 << 10

// osRelease reads the assignments of an os-release(5) file; nil without one.
func osRelease(name string) map[string]string {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	m := map[string]string{}
	lines := bufio.NewScanner(io.LimitReader(f, maxRelease))
	for lines.Scan() {
		if k, v, ok := strings.Cut(lines.Text(), "="); ok {
			m[strings.TrimSpace(k)] = strings.Trim(strings.TrimSpace(v), `"'`)
		}
	}
	return m
}

func firstLine(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, 256))
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}
