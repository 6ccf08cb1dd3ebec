//go:build !linux

package linux

import (
	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/row"
)

func unameMachine(*host.Host) string { return "" }

// kernelClocks has no Linux kernel to ask: a tree of files keeps its own.
func kernelClocks(h *host.Host, _ collect.Sink) []row.ClockReading {
	return []row.ClockReading{{Name: "boottime", Seconds: h.Boot.Since.Seconds(), Source: "/proc/uptime"}}
}
