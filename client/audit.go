package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// AuditPage is a run of entries of the tenant's audit log, and the log's head.
type AuditPage struct {
	Checkpoint string       `json:"checkpoint"` // the head, as a signed note (C2SP tlog-checkpoint)
	LogKey     []byte       `json:"logKey"`     // the Ed25519 key that signs checkpoints, as the server says; it proves nothing by itself
	Entries    []AuditEntry `json:"value"`
}

// AuditEntry is one entry: the leaf, which the tree holds, and what opens the
// commitment in it.
type AuditEntry struct {
	Index   int64        `json:"index"` // from 0
	Leaf    []byte       `json:"leaf"`  // canonical JSON, to be hashed as it is
	Hash    []byte       `json:"hash"`  // of the leaf, by the tree's own account; none of older servers
	Opening AuditOpening `json:"opening"`
}

// AuditOpening opens a leaf's commitment: the SHA-256 of the salt and the
// canonical JSON of the hidden part.
type AuditOpening struct {
	Salt   []byte      `json:"salt"`
	Hidden AuditHidden `json:"hidden"`
}

// AuditHidden is the part of an entry that devices never see.
type AuditHidden struct {
	Who         string `json:"who"`
	Name        string `json:"name"`
	From        string `json:"from"`
	Correlation string `json:"correlation"`
	Comment     string `json:"comment"`
}

// Audit returns at most top entries of the audit log from number from (counted
// from 0); top 0 leaves it to the server. Reading the log is an entry itself.
func (c *Client) Audit(ctx context.Context, from int64, top int) (AuditPage, error) {
	q := url.Values{"from": {strconv.FormatInt(from, 10)}}
	if top > 0 {
		q.Set("top", strconv.Itoa(top))
	}
	var out AuditPage
	err := c.call(ctx, http.MethodGet, "api/swab/v1/audit", q, nil, &out, maxList)
	return out, err
}
