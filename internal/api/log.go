package api

import (
	"context"
	"strconv"

	"swab/internal/audit"
	"swab/internal/fault"
)

// logPage is a part of a tenant's audit log. Each leaf is proved by the tree
// whose head the checkpoint signs, once all leaves were read.
type logPage struct {
	Checkpoint string   `json:"checkpoint"` // signed note over the log as it stands
	LogKey     []byte   `json:"logKey"`     // Ed25519 public key of the checkpoint
	Value      []logged `json:"value"`
}

type logged struct {
	Index   int64         `json:"index"`
	Leaf    []byte        `json:"leaf"` // the bytes that the tree hashes
	Hash    []byte        `json:"hash"` // of them, as the tree keeps it: where a leaf was changed, this tells which
	Opening audit.Opening `json:"opening"`
}

// audit reads the audit log from entry "from" on, at most "top" entries.
func (a *API) audit(ctx context.Context, c *call) (reply, error) {
	query := c.r.URL.Query()
	from, fromErr := number(query.Get("from"))
	top, topErr := number(query.Get("top"))
	if fromErr != nil || topErr != nil {
		from, top = -1, -1 // the core says what is wanted, to whoever may ask
	}
	p, err := a.Engine.ReadLog(ctx, c.who, from, int(top))
	if err != nil {
		return reply{}, err
	}
	page := logPage{Checkpoint: p.Checkpoint, LogKey: a.Keys.PublicLogKey(), Value: []logged{}}
	for _, e := range p.Entries {
		page.Value = append(page.Value, logged{Index: e.Index, Leaf: e.Leaf, Hash: e.Hash, Opening: e.Opening})
	}
	return reply{body: page}, nil
}

// number is a whole number, 0 where there is none.
func number(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0, fault.InvalidInput.Errorf(err, "not a number")
	}
	return n, nil
}
