package auth

import (
	"errors"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"swab/internal/device"
	"swab/internal/fault"
)

const (
	annID     = "5b1d0a9b-5c7e-4d44-86a0-f1b2c3d4e5f6"
	sessionID = "0a1b2c3d-4e5f-4061-8293-a4b5c6d7e8f9"
)

// withoutPolicy compares what callers may do, and not what it follows from.
var withoutPolicy = cmp.Options{cmpopts.IgnoreFields(Caller{}, "Policy"), cmpopts.IgnoreFields(device.Reach{}, "By")}

// signedIn is a fixture with a person who signed in to its application.
func signedIn(t testing.TB) (*fixture, Delegation) {
	f := newFixture(t)
	app := f.app
	app.Scopes = []string{CollectForensics, Read}
	ann := Person{Tenant: tenant, ID: annID, Principal: "ann@contoso.example", Name: "Ann", Groups: []string{"analysts"}}
	f.store.apps[tenant+"/"+app.ID] = app
	f.store.persons = map[string]Person{tenant + "/" + annID: ann}
	f.store.sessions = map[string]string{tenant + "/" + sessionID: annID}
	f.store.policy = &Policy{
		Roles: []Role{BuiltIn(), {ID: "r", Permissions: []Permission{AlertsInvestigation}, Groups: []string{"analysts"}}},
		Groups: device.NewGroups([]device.Group{
			{ID: 7, Rank: 1, UserGroups: []string{"analysts"}}, {ID: 8, Rank: 2, UserGroups: []string{"others"}},
		}),
	}
	return f, Delegation{App: app, By: ByNothing, Person: ann, Scopes: []string{CollectForensics}, Session: sessionID, Methods: []string{"pwd"}, At: f.now}
}

func (f *fixture) delegate(t testing.TB, d Delegation) string {
	t.Helper()
	issued, err := f.tokens.Delegate(base, "https://api.securitycenter.microsoft.com", d)
	if err != nil {
		t.Fatal(err)
	}
	return issued.Token
}

func TestADelegatedTokenNamesAPersonWithTheRightsOfNow(t *testing.T) {
	f, d := signedIn(t)
	token := f.delegate(t, d)
	who, err := f.tokens.Validate(t.Context(), token)
	want := Caller{
		Kind: User, Tenant: tenant, ID: annID, Name: "ann@contoso.example", App: d.App.ID, Scopes: []string{CollectForensics}, Session: sessionID, Source: "PublicApi",
		Person: Rights{Permissions: []Permission{AlertsInvestigation}, Reach: device.Reach{Groups: []int64{0, 7}}},
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, who, withoutPolicy); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	f.store.change(func() {
		f.store.policy = &Policy{Roles: []Role{BuiltIn()}, Groups: device.NewGroups(nil)}
	})
	if who, err = f.tokens.Validate(t.Context(), token); err != nil || len(who.Person.Permissions) != 0 || who.Reach().Has(7) || who.Reach().Has(0) {
		t.Errorf("without a role: %+v, %v", who.Person, err)
	}
}

// TestADelegatedTokenEndsWithWhatItStandsOn takes away, one at a time, what the
// token speaks of.
func TestADelegatedTokenEndsWithWhatItStandsOn(t *testing.T) {
	for name, take := range map[string]func(f *fixture, d Delegation){
		"person disabled": func(f *fixture, d Delegation) {
			d.Person.Disabled = true
			f.store.persons[tenant+"/"+annID] = d.Person
		},
		"person gone":              func(f *fixture, _ Delegation) { f.store.persons = nil },
		"session ended":            func(f *fixture, _ Delegation) { f.store.sessions = nil },
		"session of another":       func(f *fixture, _ Delegation) { f.store.sessions[tenant+"/"+sessionID] = "somebody else" },
		"application gone":         func(f *fixture, d Delegation) { delete(f.store.apps, tenant+"/"+d.App.ID) },
		"tenant revoked":           func(f *fixture, _ Delegation) { f.store.tenants[0].Revoked = true },
		"an hour and a minute ago": func(f *fixture, _ Delegation) { f.now = f.now.Add(TokenLife + Skew) },
	} {
		f, d := signedIn(t)
		token := f.delegate(t, d)
		if _, err := f.tokens.Validate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		f.store.change(func() { take(f, d) })
		if _, err := f.tokens.Validate(t.Context(), token); !errors.Is(err, fault.Unauthorized) {
			t.Errorf("%s: %v, want Unauthorized", name, err)
		}
	}
	f, d := signedIn(t)
	token := f.delegate(t, d)
	d.App.Scopes = []string{Read}
	f.store.change(func() { f.store.apps[tenant+"/"+d.App.ID] = d.App })
	if who, err := f.tokens.Validate(t.Context(), token); err != nil || who.Need(Collect) == nil {
		t.Errorf("a scope that the application lost: %v, %v", who.Scopes, err)
	}
	f.store.change(func() { f.store.down = errors.New("database is locked") })
	if _, err := f.tokens.Validate(t.Context(), token); err == nil || errors.Is(err, fault.Unauthorized) {
		t.Errorf("store down: %v, want an error that is not the caller's", err)
	}
}

// TestATokenIsOfAPersonOrOfAnApplication sees to it that nobody passes for the
// other by a claim more or less.
func TestATokenIsOfAPersonOrOfAnApplication(t *testing.T) {
	f, d := signedIn(t)
	for name, change := range map[string]func(map[string]any){
		"scopes, and no person":  func(c map[string]any) { c["scp"] = CollectForensics },
		"scopes, and no session": func(c map[string]any) { c["scp"], c["oid"] = CollectForensics, annID },
		"a session, and nobody":  func(c map[string]any) { c["sid"] = sessionID },
	} {
		token := f.forge(t, jose.RS256, nil, nil, change)
		if who, err := f.tokens.Validate(t.Context(), token); !errors.Is(err, fault.Unauthorized) {
			t.Errorf("%s: %+v, %v, want Unauthorized", name, who, err)
		}
	}
	id, err := f.tokens.Identify(base, base+"/"+tenant+"/v2.0", "n-1", d)
	if err != nil {
		t.Fatal(err)
	}
	if who, err := f.tokens.Validate(t.Context(), id); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("an id token at the API: %+v, %v, want Unauthorized", who, err)
	}
	parsed, err := jwt.ParseSigned(id, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := parsed.UnsafeClaimsWithoutVerification(&got); err != nil {
		t.Fatal(err)
	}
	delete(got, "jti")
	now := float64(f.now.Unix())
	want := map[string]any{
		"iss": base + "/" + tenant + "/v2.0", "aud": d.App.ID, "nonce": "n-1", "tid": tenant, "oid": annID, "sub": annID, "sid": sessionID, "ver": "1.0",
		"name": "Ann", "preferred_username": "ann@contoso.example", "upn": "ann@contoso.example", "unique_name": "ann@contoso.example",
		"amr": []any{"pwd"}, "idp": Issuer(base, tenant), "auth_time": now, "iat": now, "nbf": now, "exp": now + time.Hour.Seconds(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("id token (-want +got):\n%s", diff)
	}
}

// TestReachAndGroupsAreOfOneMoment changes a group's rule and its user groups at
// once: whoever was let in before sees neither what they could not see before nor
// what they can't see now.
func TestReachAndGroupsAreOfOneMoment(t *testing.T) {
	f, d := signedIn(t)
	rule := func(tag string) device.Rule {
		return device.Rule{{Property: device.ByTag, Operator: device.Equals, Values: []string{tag}}}
	}
	policy := func(tag, users string) *Policy {
		return &Policy{Roles: f.store.policy.Roles, Groups: device.NewGroups([]device.Group{
			{ID: 7, Rank: 1, Rule: rule(tag), UserGroups: []string{users}}, {ID: device.DefaultGroup, UserGroups: []string{"nobody"}},
		})}
	}
	lab, prod := device.Device{Tags: []string{"lab"}}, device.Device{Tags: []string{"prod"}}
	f.store.change(func() { f.store.policy = policy("lab", "analysts") })
	token := f.delegate(t, d)
	before, err := f.tokens.Validate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	f.store.change(func() { f.store.policy = policy("prod", "others") })
	after, err := f.tokens.Validate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		who  Caller
		dev  device.Device
		want bool
	}{{before, lab, true}, {before, prod, false}, {after, lab, false}, {after, prod, false}} {
		if got := test.who.Sees(test.dev); got != test.want {
			t.Errorf("reach %+v sees %v: %v, want %v", test.who.Reach(), test.dev.Tags, got, test.want)
		}
	}
	if r := before.Reach().In(f.store.policy.Groups); r.All || len(r.Groups) != 0 {
		t.Errorf("the reach of before by the groups of now is %+v, want nothing", r)
	}
}
