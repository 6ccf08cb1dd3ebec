//go:build !linux && !windows && !darwin

package collect

import (
	"os"
	"runtime"

	"swab/internal/collect/host"
	"swab/internal/device"
)

func systemFacts(_ *host.Host, f *device.Facts) {
	f.Platform = runtime.GOOS
	f.Name, _ = os.Hostname()
}
