package api

import (
	"context"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"time"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/canon"
	"swab/internal/fault"
)

// found is a page of the entries that a search of the audit log selects.
type found struct {
	Value []entry `json:"value"`
	Next  string  `json:"next,omitempty"` // for after; none where nothing is left
}

// entry is an audit entry to be read: what its leaf and its opening say.
type entry struct {
	Index       *int64         `json:"index"` // null where it is not in the log yet
	Time        string         `json:"time"`
	Act         audit.Act      `json:"act"`
	Object      string         `json:"object"`
	Device      string         `json:"device"`
	Profile     string         `json:"profile"`
	Result      string         `json:"result"`
	Detail      string         `json:"detail"`
	Who         string         `json:"who"`
	Name        string         `json:"name"`
	From        string         `json:"from"`
	Correlation string         `json:"correlation"`
	Comment     string         `json:"comment"` // "" where it was what changed
	Changes     []audit.Change `json:"changes,omitempty"`
	Omitted     int            `json:"changesOmitted,omitempty"`
	Trouble     string         `json:"trouble,omitempty"` // why the entry is not to be believed
}

// proved is an entry with all that shows that it is in the log: the inclusion
// proof leads from the leaf to the root under the checkpoint (RFC 6962).
type proved struct {
	logged
	Inclusion  []string `json:"inclusion"` // hashes, base64
	Checkpoint string   `json:"checkpoint"`
	LogKey     []byte   `json:"logKey"`
	Entry      entry    `json:"entry"`
}

// entries searches the audit log.
func (a *API) entries(ctx context.Context, c *call) (reply, error) {
	page, err := a.Engine.Entries(ctx, c.who, func() (action.Search, error) {
		if err := c.plain(); err != nil {
			return action.Search{}, err
		}
		return searchOf(c.r.URL.RawQuery)
	})
	if err != nil {
		return reply{}, err
	}
	answer := found{Value: []entry{}}
	for _, l := range page.Rows {
		answer.Value = append(answer.Value, readable(l))
	}
	if page.Next != "" {
		answer.Next = base64.RawURLEncoding.EncodeToString([]byte(page.Next))
	}
	return reply{body: answer}, nil
}

// entry reads one audit entry, with its proof.
func (a *API) entry(ctx context.Context, c *call) (reply, error) {
	e, err := a.Engine.Entry(ctx, c.who, func() (int64, error) {
		index, err := strconv.ParseInt(c.path["index"], 10, 64)
		if err != nil || index < 0 || c.path["index"] != strconv.FormatInt(index, 10) {
			return 0, fault.NotFound.Errorf(err, "Audit entry %s was not found: entries are named by their index, a number from 0 on", audit.Clip(c.path["index"]))
		}
		return index, c.plain()
	})
	if err != nil {
		return reply{}, err
	}
	answer := proved{
		logged:    logged{Index: e.Index, Leaf: e.Leaf, Hash: e.Hash, Opening: e.Opening},
		Inclusion: []string{}, Checkpoint: e.Proof.Checkpoint, LogKey: a.Keys.PublicLogKey(), Entry: readable(e.Logged),
	}
	for _, h := range e.Proof.Leaves[0].Inclusion {
		answer.Inclusion = append(answer.Inclusion, base64.StdEncoding.EncodeToString(h[:]))
	}
	return reply{body: answer}, nil
}

// readable is an entry as its leaf and its opening have it.
func readable(l audit.Logged) entry {
	h := l.Opening.Hidden
	e := entry{Who: h.Who, Name: h.Name, From: h.From, Correlation: h.Correlation, Comment: h.Comment}
	if l.Index >= 0 {
		e.Index = &l.Index
	}
	leaf, err := audit.ParseLeaf(l.Leaf)
	if err != nil {
		e.Trouble = err.Error()
		return e
	}
	e.Time, e.Act, e.Object, e.Device, e.Profile, e.Result, e.Detail = leaf.Time, leaf.Act, leaf.Object, leaf.Device, leaf.Profile, leaf.Result, leaf.Detail
	if leaf.Commitment != l.Opening.Commitment() {
		e.Trouble = "who asked and why is not what the entry was committed to"
	}
	if changes, ok := audit.ParseChanges(h.Comment); ok && !leaf.Act.Typed() {
		e.Comment, e.Changes, e.Omitted = "", changes.Fields, changes.Omitted
	}
	return e
}

// searchParameters are those of which one value is taken.
var searchParameters = []string{"since", "until", "who", "user", "object", "device", "result", "correlation", "top", "after"}

// searchOf reads a search of a query. Parameters that are none of it are nothing
// to it.
func searchOf(rawQuery string) (s action.Search, err error) {
	q, err := url.ParseQuery(rawQuery)
	if err != nil {
		return s, fault.InvalidInput.Errorf(err, "The query can't be read: a parameter is written name=value, percent-encoded, and the next one follows &")
	}
	for _, name := range searchParameters {
		if len(q[name]) > 1 {
			return s, fault.InvalidInput.Errorf(nil, "%s is given %d times; give it once", name, len(q[name]))
		}
	}
	if s.Since, err = timeOf(q, "since"); err != nil {
		return s, err
	}
	if s.Until, err = timeOf(q, "until"); err != nil {
		return s, err
	}
	for _, act := range q["act"] {
		if !slices.Contains(s.Acts, audit.Act(act)) {
			s.Acts = append(s.Acts, audit.Act(act))
		}
	}
	s.Who, s.User, s.Object, s.Device = q.Get("who"), q.Get("user"), q.Get("object"), q.Get("device")
	s.Result, s.Correlation = q.Get("result"), q.Get("correlation")
	s.Top = usualTop
	if q.Has("top") {
		// What is no number is out of bounds, as the core says of those.
		if s.Top, err = strconv.Atoi(q.Get("top")); err != nil || s.Top == 0 {
			s.Top = -1
		}
	}
	after, err := base64.RawURLEncoding.Strict().DecodeString(q.Get("after"))
	if s.After = string(after); err != nil {
		s.After = "none" // so says the core, too
	}
	return s, nil
}

// usualTop is how many entries a page has where the caller does not say it.
const usualTop = 100

// timeOf is a parameter that is a time; the zero time where it is not given.
func timeOf(q url.Values, name string) (time.Time, error) {
	if !q.Has(name) {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, q.Get(name))
	if err != nil || t.Year() < 1970 {
		return t, fault.InvalidInput.Errorf(err, "%s is a time such as %s, from 1970 on: %s", name,
			canon.FormatTime(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), audit.Clip(q.Get(name)))
	}
	return t, nil
}
