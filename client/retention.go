package client

import (
	"context"
	"net/http"
	"time"
)

// Retention is how long packages are kept. A rule that is nil is none: by itself
// nothing expires.
type Retention struct {
	Days     *int   `json:"days"`     // after the package was sealed
	Packages *int   `json:"packages"` // the newest
	Bytes    *int64 `json:"bytes"`    // of all packages together
}

// Retention returns the tenant's rules. It takes the permission Swab.Administer.
func (c *Client) Retention(ctx context.Context) (Retention, error) {
	var out Retention
	err := c.call(ctx, http.MethodGet, "api/admin/v1/retention", nil, nil, &out, maxEntity)
	return out, err
}

// RetentionChange is what is to become of the rules; nil: as it was.
type RetentionChange struct {
	Days     *Rule[int]
	Packages *Rule[int]
	Bytes    *Rule[int64]
}

// Rule is a figure from 1 on, or 0 for no such rule.
type Rule[N int | int64] struct{ Figure N }

// body is the change as the API has it: null for no such rule.
func (r RetentionChange) body() map[string]any {
	body := map[string]any{}
	put(body, "days", r.Days)
	put(body, "packages", r.Packages)
	put(body, "bytes", r.Bytes)
	return body
}

func put[N int | int64](body map[string]any, name string, r *Rule[N]) {
	switch {
	case r == nil:
	case r.Figure == 0:
		body[name] = nil
	default:
		body[name] = r.Figure
	}
}

// ChangeRetention changes the tenant's rules. What they no longer keep is deleted
// soon after, the oldest first. It takes the permission Swab.Administer.
func (c *Client) ChangeRetention(ctx context.Context, r RetentionChange) (Retention, error) {
	var out Retention
	err := c.call(ctx, http.MethodPatch, "api/admin/v1/retention", nil, r.body(), &out, maxEntity)
	return out, err
}

// Hold is a legal hold: what it is on does not expire before it is removed.
type Hold struct {
	ID      string    `json:"id"`
	Device  string    `json:"device"`
	Action  *string   `json:"action"` // nil: all of the device
	Reason  string    `json:"reason"`
	Holder  string    `json:"holder"` // who added it
	Created time.Time `json:"created"`
}

// Holds lists the tenant's holds, the oldest first. It takes the permission
// Swab.Administer.
func (c *Client) Holds(ctx context.Context) ([]Hold, error) {
	var out list[Hold]
	err := c.call(ctx, http.MethodGet, "api/admin/v1/holds", nil, nil, &out, maxList)
	return out.Value, err
}

// HoldRequest asks for a hold on an action's package, or on all of a device.
type HoldRequest struct {
	Action string `json:"action,omitempty"` // id
	Device string `json:"device,omitempty"` // id or name
	Reason string `json:"reason"`
}

// AddHold adds a hold. It takes the permission Swab.Administer.
func (c *Client) AddHold(ctx context.Context, r HoldRequest) (Hold, error) {
	var out Hold
	err := c.call(ctx, http.MethodPost, "api/admin/v1/holds", nil, r, &out, maxEntity)
	return out, err
}

// RemoveHold removes a hold and returns what it was. It takes the permission
// Swab.Administer.
func (c *Client) RemoveHold(ctx context.Context, id string) (Hold, error) {
	var out Hold
	segment, err := segment("hold", id)
	if err != nil {
		return out, err
	}
	err = c.call(ctx, http.MethodDelete, "api/admin/v1/holds/"+segment, nil, nil, &out, maxEntity)
	return out, err
}
