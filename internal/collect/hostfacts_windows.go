package collect

import (
	"os"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"swab/internal/collect/host"
	"swab/internal/device"
)

// servers are the first builds of Windows Server's versions, the newest first.
var servers = []struct {
	build uint32
	name  string
}{
	{26100, "WindowsServer2025"}, {20348, "WindowsServer2022"}, {17763, "WindowsServer2019"}, {14393, "WindowsServer2016"},
}

// systemFacts asks the kernel, which tells no program an old version to please it.
func systemFacts(_ *host.Host, f *device.Facts) {
	v := windows.RtlGetVersion()
	f.Build = int64(v.BuildNumber)
	const workstation = 1 // VER_NT_WORKSTATION
	switch {
	case v.ProductType != workstation:
		f.Platform = "WindowsServer"
		for _, s := range servers {
			if v.BuildNumber >= s.build {
				f.Platform = s.name
				break
			}
		}
	case v.BuildNumber >= 22000:
		f.Platform = "Windows11"
	default:
		f.Platform = "Windows10"
	}
	if key, err := registry.OpenKey(registry.LOCAL_MACHINE, `SOFTWARE\Microsoft\Windows NT\CurrentVersion`, registry.QUERY_VALUE); err == nil {
		f.Version, _, _ = key.GetStringValue("DisplayVersion")
		key.Close()
	}
	var name [256]uint16
	n := uint32(len(name))
	if err := windows.GetComputerNameEx(windows.ComputerNameDnsFullyQualified, &name[0], &n); err == nil {
		f.Name = windows.UTF16ToString(name[:n])
	} else {
		f.Name, _ = os.Hostname()
	}
}
