package linux

import (
	"strconv"
	"strings"
	"time"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/row"
)

// clockReadings is what each of the host's clocks says, read as close together
// as can be.
func clockReadings(h *host.Host, out collect.Sink) []row.ClockReading {
	now := h.Clock()
	rows := []row.ClockReading{{Name: "realtime", Time: now.UTC(), Source: "clock_gettime(CLOCK_REALTIME)"}}
	rows = append(rows, kernelClocks(h, out)...)
	if h.Boot.Since > 0 {
		rows = append(rows, row.ClockReading{Name: "boot", Time: h.Boot.Time.UTC(), Source: "realtime - boottime"})
	}
	rows = append(rows, hardwareClocks(h, out, now)...)
	// Whether the hardware's clock keeps UTC is the third line of adjtime(5).
	if b, err := h.Root.ReadFile("etc/adjtime", maxFact); err == nil {
		if lines := strings.Split(string(b), "\n"); len(lines) > 2 {
			rows = append(rows, row.ClockReading{Name: "rtc keeps", Value: strings.TrimSpace(lines[2]), Source: h.Root.Name("etc/adjtime")})
		}
	}
	return rows
}

// hardwareClocks reads the clocks that run while the machine is off. How far they
// are from the system's tells whether that was set by hand.
func hardwareClocks(h *host.Host, out collect.Sink, now time.Time) []row.ClockReading {
	if h.Sys == nil {
		return nil
	}
	list, err := h.Sys.ReadDir("class/rtc", 16)
	if err != nil {
		if !host.Gone(err) {
			out.Missing("/sys/class/rtc", err)
		}
		return nil
	}
	var rows []row.ClockReading
	for _, e := range list {
		name := "class/rtc/" + e.Name + "/since_epoch"
		text, err := attribute(h.Sys, name)
		if err == nil {
			var n int64
			if n, err = strconv.ParseInt(text, 10, 64); err == nil {
				t := time.Unix(n, 0).UTC()
				rows = append(rows, row.ClockReading{
					Name: e.Name, Time: t, Seconds: t.Sub(now).Round(time.Second).Seconds(), Value: "seconds: ahead of realtime",
					Source: h.Sys.Name(name),
				})
			}
		}
		if err != nil {
			out.Missing(h.Sys.Name(name), err)
		}
	}
	return rows
}
