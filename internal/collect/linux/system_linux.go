package linux

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/row"
)

// unameMachine is the kernel's own name for the architecture.
func unameMachine(h *host.Host) string {
	var u unix.Utsname
	if !h.Live || unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Machine[:])
}

// kernelClocks asks the running kernel for its clocks, and how it disciplines them.
func kernelClocks(h *host.Host, out collect.Sink) []row.ClockReading {
	if !h.Live {
		return []row.ClockReading{{Name: "boottime", Seconds: h.Boot.Since.Seconds(), Source: "/proc/uptime"}}
	}
	var rows []row.ClockReading
	for _, c := range []struct {
		name string
		id   int32
	}{{"boottime", unix.CLOCK_BOOTTIME}, {"monotonic", unix.CLOCK_MONOTONIC}, {"tai", unix.CLOCK_TAI}} {
		source := "clock_gettime(CLOCK_" + strings.ToUpper(c.name) + ")"
		var ts unix.Timespec
		if err := unix.ClockGettime(c.id, &ts); err != nil {
			out.Missing(source, err)
			continue
		}
		r := row.ClockReading{Name: c.name, Seconds: time.Duration(ts.Nano()).Seconds(), Source: source}
		if c.name == "tai" {
			r.Time, r.Seconds = time.Unix(0, ts.Nano()).UTC(), 0
		}
		rows = append(rows, r)
	}
	return append(rows, discipline(out)...)
}

// Bits of a clock's status (linux/timex.h).
var clockStatus = []struct {
	bit  int32
	name string
}{
	{unix.STA_PLL, "PLL"}, {unix.STA_INS, "leap second to be inserted"}, {unix.STA_DEL, "leap second to be deleted"},
	{unix.STA_UNSYNC, "unsynchronised"}, {unix.STA_NANO, "nanoseconds"}, {unix.STA_FREQHOLD, "frequency held"},
}

// discipline is what adjtimex says. With no mode set it changes nothing.
func discipline(out collect.Sink) []row.ClockReading {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		out.Missing("adjtimex", err)
		return nil
	}
	status := []string{}
	for _, s := range clockStatus {
		if t.Status&s.bit != 0 {
			status = append(status, s.name)
		}
	}
	synchronised := "yes"
	if state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0 {
		synchronised = "no"
	}
	offset := time.Duration(t.Offset) * time.Microsecond
	if t.Status&unix.STA_NANO != 0 {
		offset = time.Duration(t.Offset)
	}
	const source = "adjtimex"
	return []row.ClockReading{
		{Name: "synchronised", Value: synchronised, Source: source},
		{Name: "status", Value: strings.Join(status, ", "), Source: source},
		{Name: "offset", Seconds: offset.Seconds(), Source: source},
		{Name: "frequency", Value: strconv.FormatFloat(float64(t.Freq)/65536, 'f', 3, 64) + " ppm", Source: source},
		{Name: "maximum error", Seconds: (time.Duration(t.Maxerror) * time.Microsecond).Seconds(), Source: source},
		{Name: "estimated error", Seconds: (time.Duration(t.Esterror) * time.Microsecond).Seconds(), Source: source},
		{Name: "tai offset", Seconds: float64(t.Tai), Source: source},
	}
}
