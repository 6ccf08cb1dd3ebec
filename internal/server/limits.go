package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"swab/internal/api"
	"swab/internal/limit"
)

// limits are what the settings say of the limits of calls: whether there are
// any, and those that are not the usual ones, by the API's name.
func (c *Config) limits() (on bool, set map[string]limit.Figures, err error) {
	switch {
	case c.Limits.Word == "off":
		return false, nil, nil
	case c.Limits.Word != "on" && c.Limits.Word != "":
		return true, nil, fmt.Errorf("--limits %s: want on or off; other figures of single APIs stand in the file of settings", c.Limits.Word)
	}
	usual := api.Limits()
	var errs []error
	set = map[string]limit.Figures{}
	for _, name := range c.Limits.Names() {
		f, ok := usual[name]
		if !ok {
			errs = append(errs, fmt.Errorf("limits: there is no API %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(usual)), ", ")))
			continue
		}
		row := c.Limits.Rows[name]
		if row.Word == "off" {
			set[name] = limit.Figures{}
			continue
		}
		if row.Cells == nil {
			errs = append(errs, fmt.Errorf("limits: %s: %q is neither off nor {minute: N, hour: N}", name, row.Word))
			continue
		}
		if f, err = figures(f, row.Cells); err != nil {
			errs = append(errs, fmt.Errorf("limits: %s: %w", name, err))
		}
		set[name] = f
	}
	return true, set, errors.Join(errs...)
}

// figures are the usual ones with what cells have of others.
func figures(f limit.Figures, cells map[string]string) (limit.Figures, error) {
	for _, window := range slices.Sorted(maps.Keys(cells)) {
		n, err := strconv.Atoi(cells[window])
		if err != nil || n == 0 { // what Check takes for no limit is said by off
			return f, fmt.Errorf("%s: %q is not a number from 1 to %d", window, cells[window], limit.MaxFigure)
		}
		switch window {
		case "minute":
			f.Minute = n
		case "hour":
			f.Hour = n
		default:
			return f, fmt.Errorf("there is no window %q; there are hour and minute", window)
		}
	}
	return f, f.Check()
}

// limitCalls makes the limiter, unless there are no limits, and returns the
// limits that are not the usual ones.
func (s *Server) limitCalls(ctx context.Context) (map[string]limit.Figures, error) {
	on, set, err := s.config.limits()
	if err != nil {
		return nil, err
	}
	if !on {
		s.log.WarnContext(ctx, "limits of calls are off: one caller can take all that the server can do")
		return nil, nil
	}
	s.limiter = limit.New(limit.Config{Ledgers: s.store, Now: s.now})
	return set, nil
}

// forgetCalls forgets what no limit needs any more.
func (s *Server) forgetCalls(ctx context.Context) {
	if s.limiter == nil {
		return
	}
	if err := s.limiter.Sweep(ctx); err != nil && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "old counts of calls could not be forgotten; the sweep tries again", "err", err)
	}
}
