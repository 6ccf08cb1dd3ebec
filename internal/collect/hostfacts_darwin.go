package collect

import (
	"os"

	"golang.org/x/sys/unix"

	"swab/internal/collect/host"
	"swab/internal/device"
)

// systemFacts asks the kernel for the product's version and the boot's id.
func systemFacts(_ *host.Host, f *device.Facts) {
	f.Platform = "macOS"
	f.Version, _ = unix.Sysctl("kern.osproductversion")
	if id, err := unix.Sysctl("kern.bootsessionuuid"); err == nil && f.BootID == "" {
		f.BootID = id
	}
	f.Name, _ = os.Hostname()
}
