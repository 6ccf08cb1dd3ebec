package auth

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/audit"
	"swab/internal/fault"
)

// notebook keeps entries in memory, or is full.
type notebook struct {
	entries []audit.Entry
	full    error
}

func (n *notebook) Record(ctx context.Context, _ string, e ...audit.Entry) error {
	if err := errors.Join(ctx.Err(), n.full); err != nil {
		return err
	}
	n.entries = append(n.entries, e...)
	return nil
}

func TestGuardRecordsWhatItRefuses(t *testing.T) {
	book := &notebook{}
	now := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	g := Guard{Records: book, Now: func() time.Time { return now }}
	who := Caller{Kind: Application, Tenant: "t", ID: "app", Name: "SOAR", Roles: []string{ReadAll}, From: "192.0.2.1", Correlation: "c"}

	gone, leave := context.WithCancel(t.Context())
	leave() // a caller that goes away does not escape its entry
	if err := g.Permit(gone, who, audit.ActRead, "x", Right{Roles: []string{Administer, ReadAll}}); err != nil || len(book.entries) != 0 {
		t.Errorf("permitted: %v, %d entries", err, len(book.entries))
	}
	if err := g.Permit(gone, who, audit.ActLink, "x", AdministerAll); !errors.Is(err, fault.Forbidden) {
		t.Errorf("not permitted: %v, want Forbidden", err)
	}
	cause := fault.NotFound.Errorf(nil, "no")
	if err := g.Refuse(gone, who, audit.Leaf{Act: audit.ActCancel, Object: "y", Device: "d"}, "why", cause); err != cause {
		t.Errorf("refused: %v, want the cause itself", err)
	}
	var leaves []audit.Leaf
	for _, e := range book.entries {
		if e.Opening.Commitment() != e.Leaf.Commitment || e.Opening.Hidden.Who != "application/app" {
			t.Errorf("entry %+v", e)
		}
		e.Leaf.Commitment = ""
		leaves = append(leaves, e.Leaf)
	}
	at := "2026-03-01T12:00:00.1234567Z"
	want := []audit.Leaf{
		{V: 1, Time: at, Act: audit.ActLink, Object: "x", Result: audit.Refused, Detail: "Forbidden"},
		{V: 1, Time: at, Act: audit.ActCancel, Object: "y", Device: "d", Result: audit.Refused, Detail: "ResourceNotFound"},
	}
	if diff := cmp.Diff(want, leaves); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(book.entries) == 2 && book.entries[1].Opening.Hidden.Comment != "why" {
		t.Errorf("the comment is %q", book.entries[1].Opening.Hidden.Comment)
	}
}

func TestOurOwnFailureIsNoRefusal(t *testing.T) {
	book := &notebook{}
	g := Guard{Records: book, Now: time.Now}
	for _, cause := range []error{errors.New("disk"), fault.Unavailable.Errorf(nil, "later")} {
		if err := g.Refuse(t.Context(), Caller{Tenant: "t"}, audit.Leaf{Act: audit.ActLink}, "", cause); err != cause {
			t.Errorf("got %v, want the cause itself", err)
		}
	}
	if len(book.entries) != 0 {
		t.Errorf("%d entries", len(book.entries))
	}
}

func TestRefusalThatCannotBeRecordedSaysSo(t *testing.T) {
	full := errors.New("full")
	g := Guard{Records: &notebook{full: full}, Now: time.Now}
	err := g.Permit(t.Context(), Caller{Tenant: "t"}, audit.ActLink, "x", AdministerAll)
	if !errors.Is(err, fault.Unavailable) || !errors.Is(err, full) {
		t.Errorf("got %v, want Unavailable and its cause", err)
	}
}

func TestAPermittedCallIsChargedAndARefusedOneIsNot(t *testing.T) {
	book, charged := &notebook{}, 0
	over := fault.TooMany.Errorf(nil, "over")
	g := Guard{Records: book, Now: time.Now}
	who := Caller{Kind: Application, Tenant: "t", Roles: []string{ReadAll}, Charge: func(context.Context) error { charged++; return over }}
	if err := g.Permit(t.Context(), who, audit.ActLink, "x", AdministerAll); !errors.Is(err, fault.Forbidden) || charged != 0 {
		t.Errorf("without permission: %v, charged %d times", err, charged)
	}
	before := len(book.entries)
	if err := g.Permit(t.Context(), who, audit.ActLink, "x", ReadMachines); err != over || charged != 1 {
		t.Errorf("over the limit: %v, charged %d times; want %v", err, charged, over)
	}
	if len(book.entries) != before {
		t.Error("a call over the limit is an entry of its own")
	}
}
