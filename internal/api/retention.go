package api

import (
	"context"
	"net/http"

	"swab/internal/auth"
	"swab/internal/canon"
	"swab/internal/retention"
)

// policy is how long packages are kept, as administrators see it.
type policy struct {
	Days     *int   `json:"days"`     // null in these three: no such rule
	Packages *int   `json:"packages"` // the newest
	Bytes    *int64 `json:"bytes"`    // of all packages together
}

func policyOf(p retention.Policy) policy {
	return policy{rule(p.Days), rule(p.Packages), rule(p.Bytes)}
}

// rule is a figure, nil where it is no rule.
func rule[N int | int64](n N) *N {
	if n == 0 {
		return nil
	}
	return &n
}

func (a *API) retention(ctx context.Context, c *call) (reply, error) {
	p, err := a.Keeper.Show(ctx, c.who)
	if err == nil {
		err = c.plain()
	}
	if err != nil {
		return reply{}, err
	}
	return reply{body: policyOf(p)}, nil
}

func (a *API) changeRetention(ctx context.Context, c *call) (reply, error) {
	p, err := a.Keeper.Set(ctx, c.who, func() (retention.Change, error) {
		f := c.form(false, "days", "packages", "bytes")
		n := retention.Change{Days: ruled(f, "days", f.count), Packages: ruled(f, "packages", f.count), Bytes: ruled(f, "bytes", f.size)}
		return n, f.err
	})
	if err != nil {
		return reply{}, err
	}
	return reply{body: policyOf(p)}, nil
}

// hold is a legal hold as administrators see it.
type hold struct {
	ID      string  `json:"id"`
	Device  string  `json:"device"`
	Action  *string `json:"action"` // null: all of the device
	Reason  string  `json:"reason"`
	Holder  string  `json:"holder"` // who added it
	Created string  `json:"created"`
}

func holdOf(h retention.Hold) hold {
	shown := hold{ID: h.ID, Device: string(h.Device), Reason: h.Reason, Holder: h.Holder, Created: canon.FormatTime(h.Created)}
	if h.Action != "" {
		shown.Action = &h.Action
	}
	return shown
}

func (a *API) legalHolds(ctx context.Context, c *call) (reply, error) {
	holds, err := a.Keeper.Holds(ctx, c.who)
	if err == nil {
		err = c.plain()
	}
	if err != nil {
		return reply{}, err
	}
	list := listed[hold]{Value: []hold{}}
	for _, h := range holds {
		list.Value = append(list.Value, holdOf(h))
	}
	return reply{body: list}, nil
}

func (a *API) addHold(ctx context.Context, c *call) (reply, error) {
	h, err := a.Keeper.Hold(ctx, c.who, func() (retention.NewHold, error) {
		f := c.form(false, "action", "device", "reason")
		n := retention.NewHold{Action: fold(f.text("action")), Device: f.text("device"), Reason: f.text("reason")}
		return n, f.err
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, body: holdOf(h)}, nil
}

func (a *API) removeHold(ctx context.Context, c *call) (reply, error) {
	if err := c.bare(auth.AdministerAccess); err != nil {
		return reply{}, err
	}
	h, err := a.Keeper.Release(ctx, c.who, c.id("hold"))
	if err != nil {
		return reply{}, err
	}
	return reply{body: holdOf(h)}, nil
}
