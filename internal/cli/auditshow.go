package cli

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"

	"swab/client"
	"swab/internal/audit"
	"swab/internal/canon"
	"swab/internal/command"
)

type auditShow struct {
	Index int64 `arg:"" help:"The entry's number, as swab audit list shows it."`
	connection
	knownLog
	output
}

func (*auditShow) Help() string {
	return "Shows what an entry says and checks that it is in the log: that the entry opens to who asked and why, " +
		"and that the tree under the signed checkpoint holds it. The key that signs must be known beforehand: without --log-key, or " +
		"credentials that have it, the server's own word for its key is taken, and the verdict says so. An entry that does not hold is not shown: the command exits with 1 and says why. " +
		"Showing an entry is one itself."
}

// shown is an entry whose proof holds.
type shown struct {
	client.AuditRecord
	Leaf    []byte `json:"leaf"`
	Hash    string `json:"hash"` // the leaf's
	Size    int64  `json:"logSize"`
	Root    string `json:"logRoot"`
	LogKey  []byte `json:"logKey"`
	Known   bool   `json:"logKeyKnown"` // beforehand, and not by the server's word alone
	Verdict string `json:"verdict"`
}

func (a *auditShow) Run(ctx context.Context, env command.Env) error {
	c, cred, err := a.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	tenant, key, err := a.of(cred)
	if err != nil {
		return err
	}
	e, err := c.AuditEntry(ctx, a.Index)
	if err != nil {
		return noSuch("audit entry", fmt.Sprint(a.Index), err)
	}
	out := shown{LogKey: key, Known: key != nil, Verdict: "in the log, whose checkpoint is signed by the key that was known"}
	if !out.Known {
		out.LogKey, out.Verdict = e.LogKey, "in the log, by a key that the server itself names: that proves nothing; give --log-key"
	}
	if err := out.prove(a.Index, e, tenant); err != nil {
		return fmt.Errorf("audit entry %d: %w", a.Index, err)
	}
	return a.print(env.Stdout, out, out.text)
}

// prove fills out from the bytes that are proved, and from nothing else that the
// server says.
func (s *shown) prove(index int64, e client.AuditProof, tenant string) error {
	if e.Index != index {
		return fmt.Errorf("the server answered with entry %d", e.Index)
	}
	if len(s.LogKey) != ed25519.PublicKeySize {
		return errors.New("the key that the server names is not an Ed25519 public key")
	}
	proved := audit.Proved{Index: index, Leaf: e.Leaf}
	for _, h := range e.Inclusion {
		if len(h) != tlog.HashSize {
			return fmt.Errorf("a hash of its proof has %d bytes, not %d", len(h), tlog.HashSize)
		}
		proved.Inclusion = append(proved.Inclusion, tlog.Hash(h))
	}
	proof := audit.Proof{Checkpoint: e.Checkpoint, Leaves: []audit.Proved{proved}}
	head, leaves, err := proof.Check(tenant, s.LogKey, audit.Head{})
	if err != nil {
		return err
	}
	h := e.Opening.Hidden
	opening := audit.Opening{Salt: e.Opening.Salt, Hidden: audit.Hidden{
		Who: h.Who, Name: h.Name, From: h.From, Correlation: h.Correlation, Comment: h.Comment,
	}}
	leaf := leaves[0]
	if opening.Commitment() != leaf.Commitment {
		return errors.New("who asked and why is not what the entry was committed to")
	}
	made, err := canon.ParseTime(leaf.Time)
	if err != nil {
		return err
	}
	s.Leaf, s.Hash, s.Size, s.Root = e.Leaf, tlog.RecordHash(e.Leaf).String(), head.Size, head.Hash.String()
	s.AuditRecord = client.AuditRecord{
		Index: &index, Time: made, Act: string(leaf.Act), Object: leaf.Object, Device: leaf.Device, Profile: leaf.Profile, Result: leaf.Result,
		Detail: leaf.Detail, Who: h.Who, Name: h.Name, From: h.From, Correlation: h.Correlation, Comment: h.Comment,
	}
	if changes, ok := audit.ParseChanges(h.Comment); ok && !leaf.Act.Typed() {
		s.Comment, s.Omitted = "", changes.Omitted
		for _, c := range changes.Fields {
			s.Changes = append(s.Changes, client.AuditChange(c))
		}
	}
	return nil
}

func (s *shown) text(w io.Writer) error {
	err := fields(w,
		"index", fmt.Sprint(*s.Index),
		"time", canon.FormatTime(s.Time),
		"act", s.Act,
		"result", s.Result,
		"object", s.Object,
		"device", s.Device,
		"profile", s.Profile,
		"detail", s.Detail,
		"who", s.Who,
		"name", s.Name,
		"from", s.From,
		"correlation", s.Correlation,
		"comment", s.Comment,
		"hash", s.Hash,
		"log", fmt.Sprintf("%d entries, root %s", s.Size, s.Root),
		"verdict", s.Verdict,
	)
	if len(s.Changes) == 0 {
		return err
	}
	fmt.Fprintln(w, "\nchanged:")
	for _, c := range s.Changes {
		fmt.Fprintf(w, "  %s\n", command.Printable(c.Field))
		if len(c.From) == 0 && len(c.To) == 0 && c.Omitted == 0 {
			fmt.Fprintln(w, "    changed; its value stands nowhere")
		}
		for _, v := range c.From {
			fmt.Fprintf(w, "  - %s\n", command.Printable(v))
		}
		for _, v := range c.To {
			fmt.Fprintf(w, "  + %s\n", command.Printable(v))
		}
		if c.Omitted > 0 {
			fmt.Fprintf(w, "    and %d more\n", c.Omitted)
		}
	}
	if s.Omitted > 0 {
		fmt.Fprintf(w, "  and %d more fields\n", s.Omitted)
	}
	return err
}
