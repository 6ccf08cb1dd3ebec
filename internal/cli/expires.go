package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// expires is when what is made ends.
type expires struct {
	Expires string `help:"When it ends: a time (2027-01-31T12:00:00Z), a date (at its beginning, UTC), or a number of days (90d). Default: that of the server, which for a secret is a year." placeholder:"WHEN"`
}

// of is the end, zero where none was given.
func (e expires) of(now time.Time) (time.Time, error) {
	return moment(e.Expires, now)
}

func moment(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.UTC().AddDate(0, 0, int(n)).Truncate(time.Second), nil
		}
	}
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(form, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("--expires: %q is not a time such as 2027-01-31T12:00:00Z, a date, or a number of days such as 90d", s)
}
