package agent

import (
	"crypto/ed25519"
	"fmt"
	"runtime"
	"slices"
	"time"

	"swab/internal/agent/state"
	"swab/internal/audit"
	"swab/internal/catalog"
	"swab/internal/device"
	"swab/internal/evidence"
	"swab/internal/wire"
)

// order is what a server asked for and the device found to be in order.
type order struct {
	wire.Collect
	plan    catalog.Plan
	bounds  evidence.Bounds
	head    audit.Head // that proves it
	rebase  int64      // number of the last rebase before
	arrived time.Time
}

// policy is what the device's owner allows, whatever a server says.
type policy struct {
	bounds   evidence.Bounds // may be lowered by a server, never raised
	profiles []string        // that may be collected; none: all of the catalogue
}

// examine decides whether the device may do what c asks. The request must be in
// the audit log that the device knows, must be about this very device and plan,
// must name a plan of the device's own catalogue, and the owner must allow it.
// Nothing of c is used before that.
func examine(c wire.Collect, dev device.ID, pins state.Pins, known audit.Head, p policy) (order, *wire.Refused) {
	refuse := func(code wire.Refusal, format string, args ...any) (order, *wire.Refused) {
		return order{}, &wire.Refused{Action: c.Action, Attempt: c.Attempt, Code: code, Text: text(fmt.Sprintf(format, args...))}
	}
	head, leaves, err := audit.Proof(c.Proof).Check(pins.Tenant, ed25519.PublicKey(pins.LogKey), known)
	if err != nil {
		return refuse(wire.RefusedProof, "%v", err)
	}
	if !slices.ContainsFunc(leaves, func(l audit.Leaf) bool { return asksFor(l, c, dev) }) {
		return refuse(wire.RefusedProof, "no leaf of the proof asks this device for this action, plan and commitment")
	}
	plan, ok := catalog.Current().Plan(string(c.Profile), runtime.GOOS)
	if !ok || wire.Digest(plan.Digest()) != c.Plan {
		return refuse(wire.RefusedProfile, "this agent's catalogue %s has no such plan for %s", catalog.Current().Release, runtime.GOOS)
	}
	if len(p.profiles) > 0 && !slices.Contains(p.profiles, plan.Profile) {
		return refuse(wire.RefusedPolicy, "this device's policy does not allow the profile %s", plan.Profile)
	}
	return order{Collect: c, plan: plan, bounds: p.lowered(c.Limits), head: head}, nil
}

func asksFor(l audit.Leaf, c wire.Collect, dev device.ID) bool {
	return l.Act == audit.ActCollect && l.Result == audit.Done && l.Object == string(c.Action) &&
		l.Device == string(dev) && l.Profile == string(c.Plan) && l.Commitment == string(c.Commitment)
}

// lowered is the owner's bounds, lowered where the server asks for less.
func (p policy) lowered(l wire.Limits) evidence.Bounds {
	b := p.bounds
	if l.PackageBytes > 0 && l.PackageBytes < b.PackageBytes {
		b.PackageBytes = l.PackageBytes
	}
	if l.Seconds > 0 && l.Seconds < b.DeadlineSeconds {
		b.DeadlineSeconds = l.Seconds
	}
	return b
}

// text fits a text into a message.
func text(s string) string {
	const most = 1024
	if len(s) <= most {
		return s
	}
	return s[:most-3] + "..."
}
