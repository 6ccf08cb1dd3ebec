package collect

import (
	"fmt"
	"slices"

	"swab/internal/evidence"
)

// judge sets the line's outcome and cause. The caller holds the lock.
func (s *sink) judge(err error) {
	l := &s.line
	l.Outcome, l.Code = outcomeOf(err)
	switch {
	case err != nil:
		l.Cause = text(err.Error())
	case s.cut != "":
		l.Outcome, l.Cause = evidence.Truncated, s.cut
	case len(l.Missing) == 0:
	case l.Rows == 0 && s.clean == 0:
		// It found nothing, and there was something that it could not read.
		m := l.Missing[0]
		l.Outcome, l.Cause, l.Code = m.Outcome, m.Name+": "+m.Cause, m.Code
	default:
		l.Cause = "some of it could not be read: " + l.Missing[0].Name
		if n := len(l.Missing); n > 1 {
			l.Cause += fmt.Sprintf(" and %d more", n-1)
		}
		if m, times := prevailing(l.Missing); times > 0 && times >= taken(l)+s.clean {
			l.Outcome, l.Code = m.Outcome, m.Code
			l.Cause = text(fmt.Sprintf("%d misses like %s: %s; taken were %d rows and files", times, m.Name, m.Cause, taken(l)))
		}
	}
}

// prevailing is the first miss of the outcome that most misses have, and how many
// have it. What is not there at all was not refused, so it counts for nothing:
// an item that has rows is not absent.
func prevailing(missing []evidence.Miss) (first evidence.Miss, times int) {
	sum := map[evidence.Outcome]int{}
	for _, m := range missing {
		if m.Outcome != evidence.Absent {
			sum[m.Outcome] += m.Times
			times = max(times, sum[m.Outcome])
		}
	}
	if i := slices.IndexFunc(missing, func(m evidence.Miss) bool { return sum[m.Outcome] == times }); i >= 0 && times > 0 {
		return missing[i], times
	}
	return evidence.Miss{}, 0
}

// taken is how many rows and files a line has.
func taken(l *evidence.Line) int {
	n := int(l.Rows)
	for _, e := range l.Entries {
		if !isTable(e) {
			n++
		}
	}
	return n
}
