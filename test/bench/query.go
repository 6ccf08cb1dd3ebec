package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"swab/internal/fleet"
	"swab/internal/odata"
)

// queries measures how long the text of a filter of 1 KiB takes to be read.
func queries(t *table) error {
	const size, rounds = 1024, 2001
	text := "machineTags/any(t: startswith(t,'x'))"
	for _, part := range []string{" and healthStatus in ('Active', 'Inactive')", " or not (lastSeen ge 2026-01-01T00:00:00Z)", " AND contains(computerDnsName,'it''s')"} {
		text += strings.Repeat(part, 7)
	}
	const last = " and version eq '"
	text += last + strings.Repeat("x", size-len(text)-len(last)-1) + "'"
	raw := "$filter=" + strings.ReplaceAll(text, " ", "+")
	took := make([]time.Duration, rounds)
	for n := range took {
		begun := time.Now()
		if _, err := odata.Parse(raw, &fleet.Entity); err != nil {
			return fmt.Errorf("parse a filter: %w", err)
		}
		took[n] = time.Since(begun)
	}
	slices.Sort(took)
	t.add("parse of a filter of 1 KiB", micros(took[rounds/2]), "≤ 50 µs", "")
	return nil
}
