//go:build !linux

package agent

import (
	"os"
	"runtime"

	"swab/internal/device"
)

func openExecutable() (*os.File, error) {
	name, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return os.Open(name)
}

func surveySystem(f *device.Facts) {
	f.Platform = map[string]string{device.Windows: "Windows", device.Darwin: "macOS"}[runtime.GOOS]
}
