package signin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/credential"
	"swab/internal/fault"
	"swab/internal/limit"
)

// DeviceState is what became of a device code.
type DeviceState string

// The states.
const (
	DevicePending  DeviceState = "pending"
	DeviceApproved DeviceState = "approved"
	DeviceDenied   DeviceState = "denied"
	DeviceUsed     DeviceState = "used"
)

// DeviceCode is a device code (RFC 8628), as it is kept.
type DeviceCode struct {
	Tenant   string
	Hash     [32]byte
	UserCode credential.UserCode
	App      string // client id
	Scope    Scope
	From     string // where it was asked for
	Agent    string
	State    DeviceState
	Session  Session // that it gives, as it is now: of none, or one that has ended, at most the ID
	Polled   time.Time
	Expires  time.Time
}

// Asked is when it was asked for.
func (c DeviceCode) Asked() time.Time { return c.Expires.Add(-DeviceLife) }

// How many device codes may be asked for, and user codes be guessed, a minute.
const (
	perNetworkCodes = 30   // device codes of one network,
	firstCodes      = 3    // of which the first ones
	perTenantFirst  = 6000 // of all networks are these together,
	perTenantCodes  = 600  // and the others these
	perPersonGuess  = 10   // user codes that one person types wrongly
	perNetworkGuess = 20
	perTenantGuess  = 60
)

// Device codes of one tenant that nobody has decided yet.
const (
	maxPending  = 4096           // when another one is asked for, and
	leftPending = maxPending / 2 // what is left when that many are there
)

// BeginDevice makes a device code for an application. Who asks for too many is a
// *limit.Exceeded. Anybody may ask, from as many networks as they have: so those of
// which few come are counted apart from those of which many do, and where too many
// codes wait for their people, the networks that have the most lose theirs.
func (d *Desk) BeginDevice(ctx context.Context, v Visitor, app auth.App, scope Scope) (DeviceCode, auth.Clear, error) {
	back, err := d.takeDevice(v)
	if err != nil {
		return DeviceCode{}, auth.Clear{}, err
	}
	c, code, err := d.addDevice(ctx, v, app, scope)
	if err != nil {
		back()
	}
	return c, code, err
}

// takeDevice counts a device code that a network asks for.
func (d *Desk) takeDevice(v Visitor) (back func(), err error) {
	of, in := []string{limit.Network(v.From)}, []string{v.Tenant.ID}
	network := limit.Allowance{Kind: "device codes", Of: of, Most: perNetworkCodes, Per: time.Minute}
	back, err = d.guesses.Take("device codes", network,
		limit.Allowance{Kind: "first device codes", Of: of, Most: firstCodes, Per: time.Minute},
		limit.Allowance{Kind: "all first device codes", Of: in, Most: perTenantFirst, Per: time.Minute})
	if err != nil {
		back, err = d.guesses.Take("device codes", network, limit.Allowance{Kind: "all device codes", Of: in, Most: perTenantCodes, Per: time.Minute})
	}
	return back, err
}

func (d *Desk) addDevice(ctx context.Context, v Visitor, app auth.App, scope Scope) (DeviceCode, auth.Clear, error) {
	if err := d.Records.DropDeviceCodes(ctx, v.Tenant.ID, maxPending, func(pending []DeviceCode) []DeviceCode {
		return inTheWay(pending, len(pending)-leftPending)
	}); err != nil {
		return DeviceCode{}, auth.Clear{}, err
	}
	code := auth.NewSecret()
	c := DeviceCode{
		Tenant: v.Tenant.ID, Hash: code.Hash(), App: app.ID, Scope: scope, From: v.From, Agent: clip(v.Agent, maxAgent),
		State: DevicePending, Expires: d.now().Add(DeviceLife),
	}
	for range 3 { // one in a hundred million is there already
		c.UserCode = credential.NewUserCode()
		err := d.Records.AddDeviceCode(ctx, c)
		if err == nil {
			return c, code, nil
		}
		if !errors.Is(err, fault.InvalidInput) {
			return DeviceCode{}, auth.Clear{}, err
		}
	}
	return DeviceCode{}, auth.Clear{}, errors.New("no user code is free")
}

// inTheWay are n device codes of those that wait: again and again the oldest of the
// network that has the most, so that one who asked once is last to lose it.
func inTheWay(pending []DeviceCode, n int) []DeviceCode {
	newer := map[string]int{} // codes of a network that were asked for later
	type ranked struct {
		DeviceCode
		newer int
	}
	slices.SortFunc(pending, func(a, b DeviceCode) int { return b.Expires.Compare(a.Expires) })
	all := make([]ranked, len(pending))
	for i, c := range pending {
		network := limit.Network(c.From)
		all[i] = ranked{c, newer[network]}
		newer[network]++
	}
	slices.SortFunc(all, func(a, b ranked) int { return cmp.Or(cmp.Compare(b.newer, a.newer), a.Expires.Compare(b.Expires)) })
	var out []DeviceCode
	for _, r := range all[:min(max(n, 0), len(all))] {
		out = append(out, r.DeviceCode)
	}
	return out
}

var errUserCode = fault.NotFound.Errorf(nil, "There is no such code, or it has run out. Look at the device, and type the code that it shows now")

// Device is what asks for a sign-in by the code that a person typed, who is signed
// in, and who must not go through codes until one is right. What is not there, was
// decided already or has run out is fault.NotFound.
func (d *Desk) Device(ctx context.Context, v Visitor, s Signed, typed string) (DeviceCode, auth.App, error) {
	back, err := d.guesses.Take("sign-in with a wrong device code",
		limit.Allowance{Kind: "user code", Of: []string{v.Tenant.ID, s.Person.ID}, Most: perPersonGuess, Per: time.Minute},
		limit.Allowance{Kind: "user code of network", Of: []string{limit.Network(v.From)}, Most: perNetworkGuess, Per: time.Minute},
		limit.Allowance{Kind: "user code of tenant", Of: []string{v.Tenant.ID}, Most: perTenantGuess, Per: time.Minute})
	if err != nil {
		return DeviceCode{}, auth.App{}, err
	}
	code, ok := credential.ParseUserCode(typed)
	if !ok {
		return DeviceCode{}, auth.App{}, errUserCode
	}
	c, err := d.Records.DeviceCode(ctx, v.Tenant.ID, code)
	switch {
	case err == nil && c.State == DevicePending && d.Now().Before(c.Expires):
	case err == nil || notThere(err):
		return DeviceCode{}, auth.App{}, errUserCode
	default:
		back()
		return DeviceCode{}, auth.App{}, err
	}
	back()
	app, err := d.Directory.App(ctx, v.Tenant.ID, c.App)
	if notThere(err) {
		err = errUserCode
	}
	return c, app, err
}

// Decide is what a person says of a device that asked. Allowing it takes that the
// person proved who they are within [Fresh]; else it is fault.Unauthorized.
func (d *Desk) Decide(ctx context.Context, v Visitor, s Signed, c DeviceCode, app auth.App, allow bool) error {
	if allow && !s.ProvedWithin(Fresh, d.Now()) {
		return fault.Unauthorized.Errorf(nil, "Sign in again before you let a device in")
	}
	if !allow {
		e := audit.NewEntry(d.Now(), audit.Leaf{Act: audit.ActRefuseSignIn, Object: s.Person.ID, Result: audit.Refused, Detail: "denied " + app.ID}, v.hidden(s.Person))
		return d.decided(d.Records.DecideDeviceCode(ctx, v.Tenant.ID, c.UserCode, DeviceDenied, nil, e))
	}
	begin := d.began(Visitor{Tenant: v.Tenant, From: c.From, Agent: c.Agent}, app, s.Session, c.Scope)
	begin.Expires = c.Expires.Add(time.Minute) // unless the device comes for it
	return d.decided(d.Records.DecideDeviceCode(ctx, v.Tenant.ID, c.UserCode, DeviceApproved, &begin, d.signedIn(v, app, begin)))
}

func (d *Desk) decided(err error) error {
	if notThere(err) {
		return errUserCode
	}
	return err
}

// RedeemDevice gives an application what a device code is worth: Pending until its
// person has decided, SlowDown where it asks too often, then a grant, Denied or
// Expired.
func (d *Desk) RedeemDevice(ctx context.Context, v Visitor, app auth.App, code string) (Grant, error) {
	var g Grant
	var verdict error
	ctx, cancel := firm(ctx)
	defer cancel()
	err := d.Records.TakeDeviceCode(ctx, v.Tenant.ID, sha256.Sum256([]byte(code)), func(c DeviceCode) (o Outcome) {
		now := d.now()
		g, verdict = Grant{Scope: c.Scope}, nil
		switch {
		case c.App != app.ID:
			verdict = refuse(InvalidGrant, "The device code was given to another application")
			return o
		case c.State == DeviceUsed:
			verdict = refuse(InvalidGrant, "The device code was used already, so the sign-in that it gave has been ended; start again")
			return d.reused(v, app, c.Session.ID, "device code")
		case c.State == DeviceDenied:
			verdict = refuse(Denied, "The person denied the sign-in")
			return o
		case !now.Before(c.Expires):
			verdict = refuse(Expired, "The device code has run out: start again, and type the new code within 15 minutes")
			return o
		case c.State == DevicePending:
			// Half a second is for the ways of two requests to differ.
			if since := now.Sub(c.Polled); since >= 0 && since < DevicePause-500*time.Millisecond {
				verdict = refuse(SlowDown, "The client asks too often: wait 5 seconds longer from now on")
				return o
			}
			verdict = refuse(Pending, "The person has not typed the code yet; ask again")
			return Outcome{Polled: now}
		case c.Session.Person == "":
			verdict = refuse(InvalidGrant, "The sign-in was ended before the device came for it; start again")
			return Outcome{Used: true}
		}
		if g.Granted, verdict = c.Scope.Granted(app); verdict != nil {
			return Outcome{Used: true}
		}
		g.Session = c.Session.extended(now, c.Scope)
		return d.give(&g, Outcome{Used: true, Extend: &g.Session})
	})
	if notThere(err) {
		return Grant{}, refuse(Expired, "The device code is wrong, or has run out; start again")
	}
	return d.given(ctx, g, verdict, err)
}

// ended is what comes of a sign-in that its application gives back.
func (d *Desk) ended(v Visitor, s Session) Outcome {
	p := auth.Person{ID: s.Person, Principal: s.Principal}
	return Outcome{End: s.ID, Entries: []audit.Entry{d.entry(v, p, audit.ActEndSignIn, s.Person, strings.TrimSpace(s.ID))}}
}
