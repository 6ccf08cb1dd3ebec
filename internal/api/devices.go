package api

import "context"

// revoked is a device that was shut out for good.
type revoked struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Revoked bool   `json:"revoked"`
}

// revokeDevice takes the device's id alone: a name may come to mean another
// device between a look and a deed that can't be undone.
func (a *API) revokeDevice(ctx context.Context, c *call) (reply, error) {
	if err := c.bare(); err != nil {
		return reply{}, err
	}
	d, err := a.Register.RevokeDevice(ctx, c.who, c.id("device"))
	if err != nil {
		return reply{}, err
	}
	return reply{body: revoked{ID: string(d.ID), Name: d.Facts.Name, Revoked: d.Revoked}}, nil
}
