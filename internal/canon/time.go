package canon

import (
	"fmt"
	"time"
)

// TimeFormat is how times are written everywhere: UTC, seven fractional digits.
const TimeFormat = "2006-01-02T15:04:05.0000000Z"

// FormatTime writes t in TimeFormat.
func FormatTime(t time.Time) string { return t.UTC().Format(TimeFormat) }

// ParseTime reads a time in TimeFormat, and in no other form.
func ParseTime(s string) (time.Time, error) {
	t, err := time.Parse(TimeFormat, s)
	if err != nil || FormatTime(t) != s {
		return time.Time{}, fmt.Errorf("time %.40q is not of the form %s", s, TimeFormat)
	}
	return t, nil
}

// Ticks is t as the stores keep it: units of 100 ns since 1970, the resolution
// of TimeFormat. The zero time is 0.
func Ticks(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()*1e7 + int64(t.Nanosecond())/100
}

// FromTicks is the inverse of Ticks.
func FromTicks(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(n/1e7, n%1e7*100).UTC()
}
