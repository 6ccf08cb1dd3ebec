package api

import (
	"context"
	"encoding/json"

	"swab/internal/canon"
	"swab/internal/keys"
)

// key is a key of access tokens as administrators see it.
type key struct {
	ID    string     `json:"id"` // the kid of the tokens that it signs
	State keys.State `json:"state"`
	From  string     `json:"from"`  // when it signs first
	Until *string    `json:"until"` // when it signs no more; null: until it is succeeded
}

func (a *API) tokenKeys(ctx context.Context, c *call) (reply, error) {
	records, err := a.Register.Keys(ctx, c.who)
	if err != nil {
		return reply{}, err
	}
	if err := c.plain(); err != nil {
		return reply{}, err
	}
	list := listed[key]{Value: []key{}}
	for _, k := range records {
		list.Value = append(list.Value, a.keyOf(k))
	}
	return reply{body: list}, nil
}

func (a *API) rotateTokenKey(ctx context.Context, c *call) (reply, error) {
	next, err := a.Register.RotateTokenKey(ctx, c.who, func() (withdraw bool, err error) {
		f := c.form(true, "withdraw")
		if raw, there := f.raw["withdraw"]; there && f.err == nil && json.Unmarshal(raw, &withdraw) != nil {
			f.err = bad("withdraw is not true or false")
		}
		return withdraw, f.err
	})
	if err != nil {
		return reply{}, err
	}
	return reply{body: a.keyOf(next)}, nil
}

func (a *API) keyOf(k keys.Record) key {
	return key{ID: k.ID, State: k.State(a.Now()), From: canon.FormatTime(k.From), Until: moment(k.To)}
}
