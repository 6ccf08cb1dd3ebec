package agent

import (
	"context"
	"io"
	"runtime"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/collect/linux"
	"swab/internal/device"
)

// collectors are those of the system that the agent runs on. An item that has
// none yet is recorded as skipped.
func collectors() []collect.Collector {
	if runtime.GOOS == device.Linux {
		return linux.Collectors()
	}
	return nil
}

// makerFor makes packages of a host. From the moment on at which all volatile
// state is in memory it runs at a low priority: what follows can wait for the
// device's own work.
func makerFor(h *host.Host) Maker {
	all := collectors()
	return func(ctx context.Context, o collect.Options, out io.Writer) error {
		o.Host, o.Collectors = h, all
		restore := func() {}
		defer func() { restore() }()
		told, lowered := o.Progress, false
		o.Progress = func(p collect.Progress) {
			if p.Taken > 0 && !lowered {
				restore, lowered = lowerPriority(h.Self.Capabilities), true
			}
			if told != nil {
				told(p)
			}
		}
		return collect.Package(ctx, o, out)
	}
}
