package client

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// AuditSearch selects entries of the audit log: those of which all that is set
// holds. The zero AuditSearch is all of them.
type AuditSearch struct {
	Since, Until time.Time // from Since on, before Until

	// Acts are any of these, such as action.collect. One that ends in ".*" stands
	// for all that begin so.
	Acts []string

	Who         string // kind and id of the caller, such as application/ID
	User        string // name of the person who did it
	Object      string // id of what was acted on
	Device      string // the device concerned or acted on: its id or a name of it
	Result      string // done or refused
	Correlation string // id of the request
	Top         int    // the most entries of a page, up to 1,000; 0 leaves it to the server
}

// errPages is why the walk of a search ends that would else go on for ever.
var errPages = errors.New("the server names a page of the audit log as the one after itself")

func (s AuditSearch) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{
		"who": s.Who, "user": s.User, "object": s.Object, "device": s.Device, "result": s.Result, "correlation": s.Correlation,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, t := range map[string]time.Time{"since": s.Since, "until": s.Until} {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	if len(s.Acts) > 0 {
		q["act"] = s.Acts
	}
	if s.Top > 0 {
		q.Set("top", strconv.Itoa(s.Top))
	}
	return q
}

// AuditRecord is an entry of the audit log as it reads, by the server's word:
// [Client.AuditEntry] has what proves it.
type AuditRecord struct {
	Index       *int64        `json:"index"` // from 0; nil where the entry is not in the log yet
	Time        time.Time     `json:"time"`
	Act         string        `json:"act"`
	Object      string        `json:"object"`
	Device      string        `json:"device"`
	Profile     string        `json:"profile"`
	Result      string        `json:"result"`
	Detail      string        `json:"detail"`
	Who         string        `json:"who"`
	Name        string        `json:"name"`
	From        string        `json:"from"`
	Correlation string        `json:"correlation"`
	Comment     string        `json:"comment"`
	Changes     []AuditChange `json:"changes,omitempty"` // what an administrative act changed
	Omitted     int           `json:"changesOmitted,omitempty"`
	Trouble     string        `json:"trouble,omitempty"` // why the entry is not to be believed
}

// AuditChange is a field that an administrative act changed. Of a list it has the
// values that went and that came; of a secret, neither.
type AuditChange struct {
	Field   string   `json:"field"`
	From    []string `json:"from"`
	To      []string `json:"to"`
	Omitted int      `json:"omitted"` // values that went or came beside these
}

// AuditFound is a page of what a search selects, newest first.
type AuditFound struct {
	Entries []AuditRecord `json:"value"`
	Next    string        `json:"next"` // names the page after this one; "" where nothing is left
}

// SearchAudit returns a page of the entries that a search selects, newest first:
// the first page, or the one that the page before named. Searching the log is an
// entry itself.
func (c *Client) SearchAudit(ctx context.Context, s AuditSearch, next string) (AuditFound, error) {
	q := s.query()
	if next != "" {
		q.Set("after", next)
	}
	var out AuditFound
	err := c.call(ctx, http.MethodGet, "api/swab/v1/audit/entries", q, nil, &out, maxList)
	return out, err
}

// AllAudit yields the entries of every page of a search.
func (c *Client) AllAudit(ctx context.Context, s AuditSearch) iter.Seq2[AuditRecord, error] {
	return func(yield func(AuditRecord, error) bool) {
		for next := ""; ; {
			page, err := c.SearchAudit(ctx, s, next)
			for _, e := range page.Entries {
				if !yield(e, nil) {
					return
				}
			}
			if err == nil && page.Next != "" && page.Next == next {
				err = errPages
			}
			if err != nil {
				yield(AuditRecord{}, err)
				return
			}
			if next = page.Next; next == "" {
				return
			}
		}
	}
}

// AuditProof is an entry of the audit log with what proves that it is in it: the
// hashes that lead from the leaf to the root under the checkpoint (RFC 6962).
type AuditProof struct {
	AuditEntry
	Inclusion  [][]byte    `json:"inclusion"`
	Checkpoint string      `json:"checkpoint"` // the head, as a signed note (C2SP tlog-checkpoint)
	LogKey     []byte      `json:"logKey"`     // as in AuditPage: it proves nothing by itself
	Record     AuditRecord `json:"entry"`      // what it says, by the server's word
}

// AuditEntry returns the entry of an index, or an [*Error] with CodeNotFound.
// Reading it is an entry itself.
func (c *Client) AuditEntry(ctx context.Context, index int64) (AuditProof, error) {
	var out AuditProof
	err := c.call(ctx, http.MethodGet, "api/swab/v1/audit/entries/"+strconv.FormatInt(index, 10), nil, nil, &out, maxEntity)
	return out, err
}
