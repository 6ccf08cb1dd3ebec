package agent

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"swab/internal/agent/state"
	"swab/internal/audit"
	"swab/internal/catalog"
	"swab/internal/device"
	"swab/internal/evidence"
	"swab/internal/wire"
)

const (
	self     = device.ID("00112233445566778899aabbccddeeff00112233")
	somebody = device.ID("ffeeddccbbaa99887766554433221100ffeeddcc")
)

// Each way in which a request may not be what the log says it is.
func TestWhatIsNotProvedIsRefused(t *testing.T) {
	known := func(m *merkle) audit.Head {
		for range 5 {
			m.add(t, audit.Leaf{Act: audit.ActRead, Object: testTenant, Result: audit.Done})
		}
		return m.head(t)
	}
	for name, c := range map[string]struct {
		change func(m *merkle, c *wire.Collect, known *audit.Head)
		policy policy
		want   wire.Refusal // "" where it is in order
	}{
		"in order":                   {},
		"in order, first ever":       {change: func(m *merkle, c *wire.Collect, k *audit.Head) { *k = audit.Head{}; *c = m.order(t, self, 1, 1, 0) }},
		"in order, nothing new":      {change: func(m *merkle, c *wire.Collect, k *audit.Head) { *k = m.head(t); c.Proof = proofOf(t, m, c, m.size) }},
		"in order, profile allowed":  {policy: policy{profiles: []string{"volatile", "triage"}}},
		"another key's checkpoint":   {change: func(m *merkle, c *wire.Collect, k *audit.Head) { c.Proof.Checkpoint = newCheckpoint(t, m.head(t)) }, want: wire.RefusedProof},
		"no checkpoint":              {change: func(_ *merkle, c *wire.Collect, _ *audit.Head) { c.Proof.Checkpoint = "" }, want: wire.RefusedProof},
		"another tenant's":           {change: func(m *merkle, c *wire.Collect, _ *audit.Head) { c.Proof.Checkpoint = tenantCheckpoint(t, m) }, want: wire.RefusedProof},
		"a log rewritten":            {change: func(m *merkle, c *wire.Collect, _ *audit.Head) { *c = rewritten(t, m).order(t, self, 1, 1, 5) }, want: wire.RefusedProof},
		"a shorter log":              {change: func(_ *merkle, _ *wire.Collect, k *audit.Head) { k.Size = 100 }, want: wire.RefusedProof},
		"consistency from elsewhere": {change: func(m *merkle, c *wire.Collect, _ *audit.Head) { c.Proof = proofOf(t, m, c, 3) }, want: wire.RefusedProof},
		"consistency left out":       {change: func(_ *merkle, c *wire.Collect, _ *audit.Head) { c.Proof.Consistency = nil }, want: wire.RefusedProof},
		"inclusion left out":         {change: func(_ *merkle, c *wire.Collect, _ *audit.Head) { c.Proof.Leaves[0].Inclusion = nil }, want: wire.RefusedProof},
		"another place":              {change: func(_ *merkle, c *wire.Collect, _ *audit.Head) { c.Proof.Leaves[0].Index-- }, want: wire.RefusedProof},
		"place out of the log":       {change: func(_ *merkle, c *wire.Collect, _ *audit.Head) { c.Proof.Leaves[0].Index = 1 << 62 }, want: wire.RefusedProof},
		"leaf changed":               {change: func(_ *merkle, c *wire.Collect, _ *audit.Head) { c.Proof.Leaves[0].Leaf[10] ^= 1 }, want: wire.RefusedProof},
		"no leaf":                    {change: func(_ *merkle, c *wire.Collect, _ *audit.Head) { c.Proof.Leaves = nil }, want: wire.RefusedProof},
		"another action":             {change: func(_ *merkle, c *wire.Collect, _ *audit.Head) { c.Action = actionID(2) }, want: wire.RefusedProof},
		"another commitment":         {change: func(_ *merkle, c *wire.Collect, _ *audit.Head) { c.Commitment = commitment(2) }, want: wire.RefusedProof},
		"another device's action":    {change: func(m *merkle, c *wire.Collect, _ *audit.Head) { *c = m.order(t, somebody, 1, 1, 6) }, want: wire.RefusedProof},
		"another plan than logged": {change: func(_ *merkle, c *wire.Collect, _ *audit.Head) {
			c.Profile, c.Plan = "volatile", wire.Digest(testPlan("volatile").Digest())
		}, want: wire.RefusedProof},
		"another act": {change: func(m *merkle, c *wire.Collect, _ *audit.Head) {
			*c = m.leaf(t, c, func(l *audit.Leaf) { l.Act = audit.ActLink })
		}, want: wire.RefusedProof},
		"a refused request": {change: func(m *merkle, c *wire.Collect, _ *audit.Head) {
			*c = m.leaf(t, c, func(l *audit.Leaf) { l.Result = audit.Refused })
		}, want: wire.RefusedProof},
		"a plan that is not in the catalogue": {change: func(m *merkle, c *wire.Collect, _ *audit.Head) {
			c.Plan = commitment(7)
			*c = m.leaf(t, c, func(*audit.Leaf) {})
		}, want: wire.RefusedProfile},
		"a plan by another name":    {change: func(_ *merkle, c *wire.Collect, _ *audit.Head) { c.Profile = "volatile" }, want: wire.RefusedProfile},
		"a name that is no profile": {change: func(_ *merkle, c *wire.Collect, _ *audit.Head) { c.Profile = "everything" }, want: wire.RefusedProfile},
		"another system's plan": {change: func(m *merkle, c *wire.Collect, _ *audit.Head) {
			plan, _ := catalog.Current().Plan("triage", "windows")
			if plan.System == testPlan("triage").System {
				plan, _ = catalog.Current().Plan("triage", "darwin")
			}
			c.Plan = wire.Digest(plan.Digest())
			*c = m.leaf(t, c, func(*audit.Leaf) {})
		}, want: wire.RefusedProfile},
		"a profile that the owner forbids": {policy: policy{profiles: []string{"volatile"}}, want: wire.RefusedPolicy},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMerkle(t)
			head := known(m)
			m.add(t, audit.Leaf{Act: audit.ActRead, Object: testTenant, Result: audit.Done})
			collect := m.order(t, self, 1, 1, head.Size)
			if c.change != nil {
				c.change(m, &collect, &head)
				if strings.HasPrefix(name, "another device's") {
					collect.Proof = proofOf(t, m, &collect, head.Size)
				}
			}
			pins := state.Pins{Tenant: testTenant, LogKey: m.key.Public().(ed25519.PublicKey)}
			c.policy.bounds = evidence.Bounds{PackageBytes: 9}
			o, refused := examine(collect, self, pins, head, c.policy)
			switch {
			case c.want == "" && refused != nil:
				t.Errorf("refused: %+v", refused)
			case c.want == "" && (o.head != m.head(t) || o.plan.Digest() != testPlan("triage").Digest() || o.bounds.PackageBytes != 9):
				t.Errorf("order %+v", o)
			case c.want != "" && refused == nil:
				t.Error("taken")
			case c.want != "" && refused.Code != c.want:
				t.Errorf("refused for %s (%s), want %s", refused.Code, refused.Text, c.want)
			}
		})
	}
}

// proofOf proves the leaf of a request again, from another size on.
func proofOf(t *testing.T, m *merkle, c *wire.Collect, from int64) wire.Proof {
	t.Helper()
	l := c.Proof.Leaves[0]
	l.Inclusion = nil
	return wire.Proof(m.prove(t, from, l))
}

// leaf logs what c asks for, changed, and returns c with its proof.
func (m *merkle) leaf(t *testing.T, c *wire.Collect, change func(*audit.Leaf)) wire.Collect {
	t.Helper()
	l := audit.Leaf{
		Act: audit.ActCollect, Object: string(c.Action), Device: string(self), Profile: string(c.Plan), Result: audit.Done,
		Commitment: string(c.Commitment),
	}
	change(&l)
	i, b := m.add(t, l)
	out := *c
	out.Proof = wire.Proof(m.prove(t, c.Proof.From, audit.Proved{Index: i, Leaf: b}))
	return out
}

func newCheckpoint(t *testing.T, h audit.Head) string {
	t.Helper()
	s, err := h.Sign(testTenant, newMerkle(t).key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tenantCheckpoint(t *testing.T, m *merkle) string {
	t.Helper()
	s, err := m.head(t).Sign("0198a1b2-0000-7000-8000-00000000000b", m.key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rewritten is a log as long as m, of other leaves, under the same key.
func rewritten(t *testing.T, m *merkle) *merkle {
	t.Helper()
	other := &merkle{key: m.key}
	for other.size < m.size {
		other.add(t, audit.Leaf{Act: audit.ActRead, Object: "other", Result: audit.Done})
	}
	return other
}
