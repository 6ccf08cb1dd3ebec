package signin_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/argon2"
	"pgregory.net/rapid"

	"swab/internal/auth"
	"swab/internal/credential"
	"swab/internal/fault"
	"swab/internal/limit"
	"swab/internal/signin"
)

const scope = resource + "/Machine.Read offline_access openid"

var verifier = strings.Repeat("v", 43)

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// code is an authorization code of Ann's sign-in.
func (h *hall) code(t testing.TB, s signin.Signed) string {
	t.Helper()
	code, err := h.Authorize(t.Context(), s, signin.Request{App: h.app, Scope: h.scope(t, scope), Redirect: "http://localhost:1", Challenge: challenge(verifier), Nonce: "n"})
	if err != nil {
		t.Fatal(err)
	}
	return code.Reveal()
}

// alive says whether a session goes on.
func (h *hall) alive(t testing.TB, id string) bool {
	t.Helper()
	_, err := h.store.SessionOf(t.Context(), tenantID, id)
	if err != nil && !errors.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func reason(err error) signin.ErrorCode {
	if e, ok := errors.AsType[*signin.Error](err); ok {
		return e.Code
	}
	return ""
}

// Whoever may not come in is told the same, and leaves the same entry or none.
func TestWhoMayNotComeInIsToldNothing(t *testing.T) {
	h := open(t)
	for n, p := range []auth.Person{{Principal: "disabled@example.org", Disabled: true}, {Principal: "none@example.org"}} {
		p.Tenant, p.ID = tenantID, fmt.Sprint(n)
		c := auth.Credential{}
		if p.Disabled {
			c = auth.Credential{Password: hashed(), Changed: h.now}
		}
		if err := h.store.CreateUser(t.Context(), p, c); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{ann, "nobody@example.org", "disabled@example.org", "none@example.org", "", strings.Repeat("x", 300), "a\x00b", "' OR 1=1 --"} {
		a := h.attempt("wrong")
		if a.Principal = name; strings.HasPrefix(name, "disabled") {
			a.Password = password
		}
		_, err := h.Password(t.Context(), a)
		if code, text := fault.Of(err); code != fault.Unauthorized || text != "The user name or the password is wrong" {
			t.Errorf("%.20q: %v", name, err)
		}
	}
	a := h.attempt(password)
	a.Principal = " ANN@Example.org "
	if p, err := h.Password(t.Context(), a); err != nil || p.Person != annID || p.Step != signin.StepDone {
		t.Errorf("the right password: %+v, %v", p, err)
	}
}

func TestAPasswordThatIsKeptCheaplyIsHashedAnew(t *testing.T) {
	h := open(t)
	salt := make([]byte, 16)
	key := argon2.IDKey([]byte(password), salt, 1, 1024, 1, 32)
	cheap := "$argon2id$v=19$m=1024,t=1,p=1$" + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(key)
	h.change(t, func(c *auth.Credential) { c.Password = cheap })
	if _, err := h.Password(t.Context(), h.attempt("guess")); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("a wrong password: %v", err)
	}
	for range 2 {
		if p, err := h.Password(t.Context(), h.attempt(password)); err != nil || p.Step != signin.StepDone {
			t.Errorf("the right password: %+v, %v", p, err)
		}
	}
	if c, err := h.store.Credential(t.Context(), tenantID, annID); err != nil || c.Password == cheap {
		t.Errorf("kept at %.40s, %v", c.Password, err)
	}
}

func TestGuessesAreSlowedAndTheOwnerIsNotLockedOut(t *testing.T) {
	h := open(t)
	first := h.in(t)
	bob := auth.Person{Tenant: tenantID, ID: "1b", Principal: "bob@example.org"}
	if err := h.store.CreateUser(t.Context(), bob, auth.Credential{}); err != nil {
		t.Fatal(err)
	}
	known := h.know(t, first.Person)
	guess := func(from, known, password string) error {
		a := h.attempt(password)
		a.From, a.Known = from, known
		_, err := h.Password(t.Context(), a)
		return err
	}
	for n := range 10 {
		if err := guess("192.0.2.66", "", "guess"); !errors.Is(err, fault.Unauthorized) {
			t.Fatalf("guess %d: %v", n, err)
		}
	}
	slowed := func(what string, err error, most int) {
		t.Helper()
		if e, ok := errors.AsType[*limit.Exceeded](err); !ok || e.Calls != most {
			t.Errorf("%s: %v, want the limit of %d", what, err, most)
		}
	}
	slowed("an 11th guess from one network", guess("192.0.2.66", "", password), 10)
	if err := guess("192.0.2.7", "", password); err != nil {
		t.Errorf("another network: %v", err)
	}
	for n := range 20 { // from as many places as it takes
		_ = guess(fmt.Sprint("198.51.100.", n), "", "guess")
	}
	slowed("the 31st guess of an account", guess("192.0.2.7", "", password), 30)
	if err := guess("192.0.2.66", known, password); err != nil {
		t.Errorf("the owner's browser at the guesser's own address: %v", err)
	}
	for what, cookie := range map[string]string{
		"no cookie": "x.y.z", "altered": "A" + known[1:], "another's": h.know(t, bob),
	} {
		slowed(what, guess("192.0.2.7", cookie, password), 30)
	}
	for range 10 {
		_ = guess("192.0.2.7", known, "guess")
	}
	slowed("a known browser that guesses", guess("192.0.2.7", known, password), 10)
	h.wait(time.Minute)
	if err := guess("192.0.2.66", "", password); err != nil {
		t.Errorf("after a minute: %v", err)
	}
	h.wait(signin.KnownLife)
	for n := range 30 {
		_ = guess(fmt.Sprint("198.51.100.", n), "", "guess")
	}
	slowed("a browser that is known no more", guess("192.0.2.7", known, password), 30)
}

func TestAFloodKeepsNobodyFromTheirUsualBrowser(t *testing.T) {
	h := open(t)
	h.Hasher = credential.NewHasher(1)
	known := h.know(t, h.in(t).Person)
	ctx, end := context.WithCancel(t.Context())
	defer end()
	full := make(chan struct{})
	var once sync.Once
	var flood sync.WaitGroup
	for n := range 600 { // more than may wait
		flood.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				a := h.attempt("guess")
				a.Principal, a.From = fmt.Sprint(n, "-", i), fmt.Sprintf("10.%d.%d.%d", n/250, n%250, i%250)
				if _, err := h.Password(ctx, a); err != nil {
					if _, busy := errors.AsType[*credential.Busy](err); busy {
						once.Do(func() { close(full) })
					}
				}
			}
		})
	}
	<-full
	a := h.attempt(password)
	a.Known = known
	if _, err := h.Password(t.Context(), a); err != nil {
		t.Errorf("in the usual browser: %v", err)
	}
	end()
	flood.Wait()
}

func TestFailuresAreEntriesAndBounded(t *testing.T) {
	h := open(t)
	for n := range 25 {
		a := h.attempt("guess")
		a.From = fmt.Sprint("198.51.100.", n)
		_, _ = h.Password(t.Context(), a)
	}
	h.flush(t)
	want := slices.Repeat([]string{"signin.refused Unauthorized"}, 10)
	if diff := cmp.Diff(append(want, "signin.refused 15"), h.acts(t)); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestAOneTimeCodeIsGoodOnceAndARecoveryCodeToo(t *testing.T) {
	h := open(t)
	totp := credential.NewTOTP()
	p, err := h.Password(t.Context(), h.attempt(password))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.EnrolTOTP(t.Context(), h.visit, p, totp, "000000"); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("a wrong code enrols: %v", err)
	}
	codes, err := h.EnrolTOTP(t.Context(), h.visit, p, totp, oneTime(totp, h.clock()))
	if err != nil || len(codes) != 10 {
		t.Fatal(len(codes), err)
	}
	if c, err := h.store.Credential(t.Context(), tenantID, annID); err != nil || strings.Contains(string(c.TOTP), string(totp.Seed())) {
		t.Errorf("the secret is kept in clear, or not at all: %v", err)
	}
	begin := func() signin.Progress {
		t.Helper()
		p, err := h.Password(t.Context(), h.attempt(password))
		if err != nil || p.Step != signin.StepCode {
			t.Fatal(p, err)
		}
		if _, _, err := h.Begin(t.Context(), h.visit, p, ""); err == nil {
			t.Error("a session begins without the second step")
		}
		return p
	}
	code := oneTime(totp, h.clock())
	if _, err := h.Code(t.Context(), h.visit, begin(), signin.TypedCode{Code: code}); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("the code that enrolled is taken again: %v", err)
	}
	h.wait(30 * time.Second)
	code = oneTime(totp, h.clock())
	done, err := h.Code(t.Context(), h.visit, begin(), signin.TypedCode{Code: code})
	if diff := cmp.Diff([]string{"pwd", "otp", "mfa"}, done.Methods); err != nil || done.Step != signin.StepDone || diff != "" {
		t.Errorf("a right code: %+v, %v", done, err)
	}
	if _, err := h.Code(t.Context(), h.visit, begin(), signin.TypedCode{Code: code}); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("the code is good twice: %v", err)
	}
	typed := signin.TypedCode{Code: strings.ToUpper(codes[3].Reveal()), Recovery: true}
	if done, err := h.Code(t.Context(), h.visit, begin(), typed); err != nil || done.Step != signin.StepDone {
		t.Errorf("a recovery code: %+v, %v", done, err)
	}
	if _, err := h.Code(t.Context(), h.visit, begin(), typed); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("a recovery code is good twice: %v", err)
	}
	if _, err := h.NewRecoveryCodes(t.Context(), h.visit, p); !errors.Is(err, fault.BadRequest) {
		t.Errorf("who proved a password alone makes new recovery codes: %v", err)
	}
	if err := h.RemoveTOTP(t.Context(), h.visit, p); !errors.Is(err, fault.BadRequest) {
		t.Errorf("who proved a password alone removes the second step: %v", err)
	}
	if err := h.RemoveTOTP(t.Context(), h.visit, done); err != nil {
		t.Error(err)
	}
	if p, err := h.Password(t.Context(), h.attempt(password)); err != nil || p.Step != signin.StepDone {
		t.Errorf("after the second step was removed: %+v, %v", p, err)
	}
}

func TestCodesCannotBeGuessed(t *testing.T) {
	h := open(t)
	totp := credential.NewTOTP()
	p, err := h.Password(t.Context(), h.attempt(password))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.EnrolTOTP(t.Context(), h.visit, p, totp, oneTime(totp, h.clock())); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for range 70 { // minutes
		p, err := h.Password(t.Context(), h.attempt(password))
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if _, err := h.Code(t.Context(), h.visit, p, signin.TypedCode{Code: "not six"}); errors.Is(err, fault.Unauthorized) {
				tried++
			} else if _, ok := errors.AsType[*limit.Exceeded](err); !ok {
				t.Fatal(err)
			}
		}
		h.wait(time.Minute)
	}
	if tried > 30 {
		t.Errorf("%d codes were looked at in 70 minutes, want at most 15 an hour", tried)
	}
}

func TestAPasswordThatSomebodyElseKnowsIsChangedFirst(t *testing.T) {
	h := open(t)
	h.change(t, func(c *auth.Credential) { c.MustChange = true })
	p, err := h.Password(t.Context(), h.attempt(password))
	if err != nil || p.Step != signin.StepPassword {
		t.Fatal(p, err)
	}
	if _, _, err := h.Begin(t.Context(), h.visit, p, ""); err == nil {
		t.Error("a session begins with the password that somebody else knows")
	}
	for _, bad := range []string{"short", password, "ann@example.org!!"} {
		if _, err := h.NewPassword(t.Context(), h.visit, p, bad); !errors.Is(err, fault.InvalidInput) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	h.wait(time.Second)
	const next = "another four words altogether"
	done, err := h.NewPassword(t.Context(), h.visit, p, next)
	if err != nil || done.Step != signin.StepDone {
		t.Fatal(done, err)
	}
	if _, _, err := h.Begin(t.Context(), h.visit, done, ""); err != nil {
		t.Error(err)
	}
	if _, err := h.NewPassword(t.Context(), h.visit, p, "yet another four words"); !errors.Is(err, fault.BadRequest) {
		t.Errorf("the same step a second time: %v", err)
	}
	if p, err := h.Password(t.Context(), h.attempt(next)); err != nil || p.Step != signin.StepDone {
		t.Errorf("the new password: %+v, %v", p, err)
	}
	if _, err := h.Password(t.Context(), h.attempt(password)); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("the old password: %v", err)
	}
}

func TestSessionsEnd(t *testing.T) {
	h := open(t)
	p, err := h.Password(t.Context(), h.attempt(password))
	if err != nil {
		t.Fatal(err)
	}
	s, cookie, err := h.Begin(t.Context(), h.visit, p, "")
	if err != nil {
		t.Fatal(err)
	}
	found := func(what string, want bool) {
		t.Helper()
		got, ok, err := h.Find(t.Context(), h.visit, cookie.Reveal())
		if err != nil || ok != want || ok && got.Session.ID != s.Session.ID {
			t.Errorf("%s: %+v %t, %v", what, got, ok, err)
		}
	}
	found("at once", true)
	for range 3 {
		h.wait(signin.BrowserIdle - time.Minute)
		found("in use", h.clock().Before(s.Session.Created.Add(signin.BrowserLife)))
	}
	h.wait(3 * time.Minute)
	found("after a day", false)
	s, cookie, err = h.Begin(t.Context(), h.visit, signin.Progress{Step: signin.StepDone, Person: annID, Changed: p.Changed, Methods: p.Methods, At: h.clock()}, "")
	if err != nil {
		t.Fatal(err)
	}
	found("a new one", true)
	h.wait(signin.BrowserIdle + time.Second)
	found("idle", false)
	for _, bad := range []string{"", "x", strings.Repeat("x", 1000), "' OR 1=1 --"} {
		if _, ok, err := h.Find(t.Context(), h.visit, bad); ok || err != nil {
			t.Errorf("cookie %.10q: %t, %v", bad, ok, err)
		}
	}
}

func TestASignInReplacesTheOneThatTheBrowserHad(t *testing.T) {
	h := open(t)
	first := h.in(t)
	p, err := h.Password(t.Context(), h.attempt(password))
	if err != nil {
		t.Fatal(err)
	}
	g, err := h.Redeem(t.Context(), h.visit, h.app, h.code(t, first), "http://localhost:1", verifier)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := h.Begin(t.Context(), h.visit, p, first.Session.ID)
	if err != nil || second.Session.ID == first.Session.ID || h.alive(t, first.Session.ID) || !h.alive(t, second.Session.ID) {
		t.Errorf("first %t, second %t, %v", h.alive(t, first.Session.ID), h.alive(t, second.Session.ID), err)
	}
	if err := h.SignOut(t.Context(), h.visit, second); err != nil || h.alive(t, second.Session.ID) || !h.alive(t, g.Session.ID) {
		t.Errorf("signed out: the browser %t, the application %t, %v", h.alive(t, second.Session.ID), h.alive(t, g.Session.ID), err)
	}
}

func TestACodeIsWorthOneGrant(t *testing.T) {
	h := open(t)
	s := h.in(t)
	other := h.app
	other.ID = "7f0e6d5c-1a2b-4c3d-8e9f-000000000000"
	code := h.code(t, s)
	if _, err := h.Redeem(t.Context(), h.visit, other, code, "http://localhost:1", verifier); reason(err) != signin.InvalidGrant {
		t.Errorf("another application: %v", err)
	}
	g, err := h.Redeem(t.Context(), h.visit, h.app, code, "http://localhost:1", verifier)
	if err != nil || g.Person.ID != annID || g.Nonce != "n" || g.Refresh == nil || !slices.Equal(g.Granted, []string{auth.Read}) || !h.alive(t, g.Session.ID) {
		t.Fatalf("%+v, %v", g, err)
	}
	if got := g.Scope.String(g.Granted); got != scope {
		t.Errorf("scope %q", got)
	}
	if _, err := h.Redeem(t.Context(), h.visit, h.app, code, "http://localhost:1", verifier); reason(err) != signin.InvalidGrant {
		t.Errorf("a second time: %v", err)
	}
	if h.alive(t, g.Session.ID) || !h.alive(t, s.Session.ID) {
		t.Error("the sign-in that the code gave goes on after it was used twice, or the browser's does not")
	}
	if _, err := h.Renew(t.Context(), h.visit, h.app, g.Refresh.Reveal(), nil); reason(err) != signin.InvalidGrant {
		t.Errorf("its refresh token: %v", err)
	}
	if acts := h.acts(t); acts[len(acts)-1] != "signin.reuse authorization code" {
		t.Errorf("log %q", acts)
	}
	entries, revision := len(h.acts(t)), h.store.AccessRevision()
	if _, err := h.Redeem(t.Context(), h.visit, h.app, code, "http://localhost:1", verifier); reason(err) != signin.InvalidGrant {
		t.Errorf("a third time: %v", err)
	}
	if n := len(h.acts(t)); n != entries || h.store.AccessRevision() != revision {
		t.Errorf("%d entries more, and revision %d after %d: presenting a spent code is free", n-entries, h.store.AccessRevision(), revision)
	}
	for what, try := range map[string]func(code string) (signin.Grant, error){
		"a wrong verifier": func(code string) (signin.Grant, error) {
			return h.Redeem(t.Context(), h.visit, h.app, code, "http://localhost:1", strings.Repeat("w", 43))
		},
		"no verifier": func(code string) (signin.Grant, error) {
			return h.Redeem(t.Context(), h.visit, h.app, code, "http://localhost:1", "")
		},
		"the challenge as verifier": func(code string) (signin.Grant, error) {
			return h.Redeem(t.Context(), h.visit, h.app, code, "http://localhost:1", challenge(verifier))
		},
		"another redirect": func(code string) (signin.Grant, error) {
			return h.Redeem(t.Context(), h.visit, h.app, code, "http://localhost:2", verifier)
		},
		"too late": func(code string) (signin.Grant, error) {
			h.wait(signin.CodeLife)
			return h.Redeem(t.Context(), h.visit, h.app, code, "http://localhost:1", verifier)
		},
		"no code": func(string) (signin.Grant, error) {
			return h.Redeem(t.Context(), h.visit, h.app, "nothing", "http://localhost:1", verifier)
		},
	} {
		code := h.code(t, s)
		if _, err := try(code); reason(err) != signin.InvalidGrant {
			t.Errorf("%s: %v", what, err)
		}
		if what == "no code" {
			continue
		}
		if _, err := h.Redeem(t.Context(), h.visit, h.app, code, "http://localhost:1", verifier); reason(err) != signin.InvalidGrant {
			t.Errorf("after %s the code is good: %v", what, err)
		}
	}
	for _, r := range []signin.Request{
		{App: h.app}, {App: h.app, Challenge: "short"}, {App: h.app, Challenge: challenge(verifier), Nonce: strings.Repeat("n", 1000)},
	} {
		if _, err := h.Authorize(t.Context(), s, r); !errors.Is(err, fault.InvalidInput) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestOfManyWhoPresentACodeOneIsFirst(t *testing.T) {
	h := open(t)
	code := h.code(t, h.in(t))
	var wait sync.WaitGroup
	var mu sync.Mutex
	var grants []signin.Grant
	for range 16 {
		wait.Go(func() {
			g, err := h.Redeem(t.Context(), h.visit, h.app, code, "http://localhost:1", verifier)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				grants = append(grants, g)
			} else if reason(err) != signin.InvalidGrant {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if len(grants) != 1 || h.alive(t, grants[0].Session.ID) {
		t.Errorf("%d grants, and the sign-in goes on though the code came again", len(grants))
	}
}

// Whatever is presented in whatever order: a family has one token that is good,
// the newest, and none once any other came.
func TestRefreshTokensFollowOneAnother(t *testing.T) {
	h := open(t)
	rapid.Check(t, func(rt *rapid.T) {
		g, err := h.Redeem(t.Context(), h.visit, h.app, h.code(t, h.in(t)), "http://localhost:1", verifier)
		if err != nil {
			rt.Fatal(err)
		}
		tokens, alive := []string{g.Refresh.Reveal()}, true
		for range rapid.IntRange(1, 6).Draw(rt, "uses") {
			h.wait(time.Duration(rapid.IntRange(0, 100).Draw(rt, "days")) * 24 * time.Hour / 2)
			at := rapid.IntRange(max(0, len(tokens)-2), len(tokens)-1).Draw(rt, "token")
			if !h.alive(t, g.Session.ID) {
				alive = false // nobody used it for 90 days
			}
			next, err := h.Renew(t.Context(), h.visit, h.app, tokens[at], nil)
			newest := at == len(tokens)-1
			switch {
			case alive && newest:
				if err != nil || next.Session.ID != g.Session.ID || next.Refresh == nil || !next.Session.Proved.Equal(g.Session.Proved) {
					rt.Fatalf("the newest token: %+v, %v", next, err)
				}
				tokens = append(tokens, next.Refresh.Reveal())
			case reason(err) != signin.InvalidGrant:
				rt.Fatalf("token %d of %d, alive %t: %v", at, len(tokens), alive, err)
			}
			alive = alive && newest
			if h.alive(t, g.Session.ID) != alive {
				rt.Fatalf("after token %d of %d the sign-in goes on: %t", at, len(tokens), !alive)
			}
		}
	})
}

func TestARefreshAsksForNoMoreAndRaisesNoRevision(t *testing.T) {
	h := open(t)
	g, err := h.Redeem(t.Context(), h.visit, h.app, h.code(t, h.in(t)), "http://localhost:1", verifier)
	if err != nil {
		t.Fatal(err)
	}
	more := h.scope(t, resource+"/.default")
	if _, err := h.Renew(t.Context(), h.visit, h.app, g.Refresh.Reveal(), &more); reason(err) != signin.InvalidScope {
		t.Errorf("more than was granted: %v", err)
	}
	revision := h.store.AccessRevision()
	same := h.scope(t, resource+"/machine.read openid profile")
	next, err := h.Renew(t.Context(), h.visit, h.app, g.Refresh.Reveal(), &same)
	if err != nil || next.Scope.String(next.Granted) != resource+"/Machine.Read openid profile" || next.Refresh == nil {
		t.Errorf("%+v, %v", next, err)
	}
	if now := h.store.AccessRevision(); now != revision {
		t.Errorf("a refresh makes every node forget who may come in: revision %d, was %d", now, revision)
	}
}

func TestWhoLeavesIsSignedInNowhere(t *testing.T) {
	for what, leave := range map[string]func(*testing.T, *hall, signin.Signed, signin.Grant) error{
		"the person ends the browser's sign-in": func(t *testing.T, h *hall, s signin.Signed, _ signin.Grant) error {
			return h.SignOutOf(t.Context(), h.visit, s, s.Session.ID)
		},
		"the person ends the application's": func(t *testing.T, h *hall, s signin.Signed, g signin.Grant) error {
			return h.SignOutOf(t.Context(), h.visit, s, g.Session.ID)
		},
		"everywhere": func(t *testing.T, h *hall, s signin.Signed, _ signin.Grant) error {
			return h.SignOutEverywhere(t.Context(), h.visit, s)
		},
		"the password is changed elsewhere": func(t *testing.T, h *hall, s signin.Signed, _ signin.Grant) error {
			elsewhere := h.in(t)
			h.wait(time.Second)
			p, err := h.Password(t.Context(), h.attempt(password))
			if err != nil {
				return err
			}
			return h.ChangePassword(t.Context(), h.visit, elsewhere, p, "another four words altogether")
		},
		"the person ends the browser's sign-in that came after": func(t *testing.T, h *hall, s signin.Signed, _ signin.Grant) error {
			p, err := h.Password(t.Context(), h.attempt(password))
			if err != nil {
				return err
			}
			again, _, err := h.Begin(t.Context(), h.visit, p, s.Session.ID)
			if err != nil {
				return err
			}
			return h.SignOutOf(t.Context(), h.visit, again, again.Session.ID)
		},
		"the application gives it back": func(t *testing.T, h *hall, _ signin.Signed, g signin.Grant) error {
			return h.Revoke(t.Context(), h.visit, h.app, g.Refresh.Reveal())
		},
	} {
		t.Run(what, func(t *testing.T) {
			h := open(t)
			s := h.in(t)
			g, err := h.Redeem(t.Context(), h.visit, h.app, h.code(t, s), "http://localhost:1", verifier)
			if err != nil {
				t.Fatal(err)
			}
			if err := leave(t, h, s, g); err != nil {
				t.Fatal(err)
			}
			if h.alive(t, g.Session.ID) {
				t.Error("the application's sign-in goes on")
			}
			if _, err := h.Renew(t.Context(), h.visit, h.app, g.Refresh.Reveal(), nil); reason(err) != signin.InvalidGrant {
				t.Errorf("its refresh token: %v", err)
			}
		})
	}
}

// A device code goes one way: pending, decided, used; and whatever comes after
// that is refused and ends what it gave.
func TestADeviceCodeGoesOneWay(t *testing.T) {
	h := open(t)
	s := h.in(t)
	begin := func() (signin.DeviceCode, string) {
		t.Helper()
		c, code, err := h.BeginDevice(t.Context(), signin.Visitor{Tenant: h.visit.Tenant, From: "203.0.113.5", Agent: "a tool"}, h.app, h.scope(t, scope))
		if err != nil {
			t.Fatal(err)
		}
		return c, code.Reveal()
	}
	poll := func(code string, want signin.ErrorCode) signin.Grant {
		t.Helper()
		g, err := h.RedeemDevice(t.Context(), h.visit, h.app, code)
		if reason(err) != want || want == "" && err != nil {
			t.Errorf("%v, want %q", err, want)
		}
		return g
	}
	c, code := begin()
	poll(code, signin.Pending)
	h.wait(time.Second)
	poll(code, signin.SlowDown)
	h.wait(signin.DevicePause)
	poll(code, signin.Pending)
	found, app, err := h.Device(t.Context(), h.visit, s, strings.ToLower(string(c.UserCode[:4]))+" "+string(c.UserCode[5:]))
	if err != nil || app.ID != h.app.ID || found.From != "203.0.113.5" || !found.Asked().Equal(c.Asked()) {
		t.Fatal(found, app, err)
	}
	if err := h.Decide(t.Context(), h.visit, s, found, app, true); err != nil {
		t.Fatal(err)
	}
	if err := h.Decide(t.Context(), h.visit, s, found, app, false); !errors.Is(err, fault.NotFound) {
		t.Errorf("decided twice: %v", err)
	}
	if _, _, err := h.Device(t.Context(), h.visit, s, string(c.UserCode)); !errors.Is(err, fault.NotFound) {
		t.Errorf("a code that was decided is found: %v", err)
	}
	g := poll(code, "")
	if g.Person.ID != annID || g.Refresh == nil || g.Session.From != "203.0.113.5" || !h.alive(t, g.Session.ID) {
		t.Errorf("%+v", g)
	}
	poll(code, signin.InvalidGrant)
	if h.alive(t, g.Session.ID) {
		t.Error("the sign-in goes on after its code was used twice")
	}

	c, code = begin()
	if err := h.Decide(t.Context(), h.visit, s, c, h.app, false); err != nil {
		t.Fatal(err)
	}
	poll(code, signin.Denied)
	c, code = begin()
	h.wait(signin.DeviceLife)
	poll(code, signin.Expired)
	if _, _, err := h.Device(t.Context(), h.visit, s, string(c.UserCode)); !errors.Is(err, fault.NotFound) {
		t.Errorf("a code that ran out is found: %v", err)
	}
	poll("nothing", signin.Expired)
	c, code = begin()
	if err := h.Decide(t.Context(), h.visit, s, c, h.app, true); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("allowed by a sign-in of a while ago: %v", err)
	}
	s = h.in(t)
	other := h.app
	other.ID = "7f0e6d5c-1a2b-4c3d-8e9f-000000000000"
	if _, err := h.RedeemDevice(t.Context(), h.visit, other, code); reason(err) != signin.InvalidGrant {
		t.Errorf("another application: %v", err)
	}
	if err := h.Decide(t.Context(), h.visit, s, c, h.app, true); err != nil {
		t.Fatal(err)
	}
	if err := h.SignOutOf(t.Context(), h.visit, s, s.Session.ID); err != nil {
		t.Fatal(err)
	}
	poll(code, signin.InvalidGrant)
}

func TestUserCodesCannotBeGuessed(t *testing.T) {
	h := open(t)
	s := h.in(t)
	refused := 0
	for range 30 {
		_, _, err := h.Device(t.Context(), h.visit, s, string(credential.NewUserCode()))
		if _, ok := errors.AsType[*limit.Exceeded](err); ok {
			refused++
		} else if !errors.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
	}
	if refused != 20 {
		t.Errorf("%d of 30 guesses were slowed, want 20", refused)
	}
	asked := 0
	for range 50 {
		if _, _, err := h.BeginDevice(t.Context(), h.visit, h.app, h.scope(t, scope)); err == nil {
			asked++
		}
	}
	if asked != 30 {
		t.Errorf("%d device codes of one network in a minute, want 30", asked)
	}
}

func TestScopesAreReadInFull(t *testing.T) {
	h := open(t)
	for in, want := range map[string]string{
		resource + "/Machine.Read":                            resource + "/Machine.Read",
		resource + "/.default openid":                         resource + "/Machine.CollectForensics " + resource + "/Machine.Read " + resource + "/.default openid",
		resource + "//.default":                               resource + "/Machine.CollectForensics " + resource + "/Machine.Read " + resource + "//.default",
		strings.ToUpper(resource) + "/machine.read":           strings.ToUpper(resource) + "/Machine.Read",
		"openid profile":                                      "openid profile",
		"https://swab.example/Machine.CollectForensics email": "https://swab.example/Machine.CollectForensics email",
	} {
		s, err := h.ReadScope(h.app, in, "")
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		granted, err := s.Granted(h.app)
		if got := s.String(granted); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", in, got, err, want)
		}
	}
	for _, bad := range []string{
		"", "Machine.Read", resource, resource + "/", resource + "/Machine.ReadWrite", resource + "/Nothing", "https://graph.microsoft.com/.default",
		resource + "/Machine.Read https://swab.example/Machine.Read", resource + "/.default " + resource + "/Swab.Administer", strings.Repeat("x", 3000),
	} {
		if s, err := h.ReadScope(h.app, bad, ""); reason(err) != signin.InvalidScope {
			t.Errorf("%.80q: %+v, %v", bad, s, err)
		}
	}
	if _, err := h.ReadScope(auth.App{ID: "x"}, resource+"/.default", ""); reason(err) != signin.InvalidScope {
		t.Errorf("an application without scopes: %v", err)
	}
	if s, err := h.ReadScope(h.app, "openid", resource+"/"); err != nil || !s.Offline || !s.OpenID || s.Resource != resource+"/" {
		t.Errorf("v1: %+v, %v", s, err)
	}
	if _, err := h.ReadScope(h.app, "", "https://graph.microsoft.com"); reason(err) != signin.InvalidResource {
		t.Errorf("v1, another resource: %v", err)
	}
}

func TestATicketIsGoodWhereItWasMadeForAWhile(t *testing.T) {
	h := open(t)
	made := signin.Ticket{For: "code", Progress: signin.Progress{Person: annID, Step: signin.StepCode}, Request: "a=b", Secret: []byte("s")}
	sealed := h.Seal(tenantID, "browser", made)
	if strings.Contains(sealed, annID) {
		t.Error("a ticket is in clear")
	}
	got, err := h.Open(tenantID, "browser", "code", sealed)
	if made.Made = h.clock(); err != nil || !cmp.Equal(made, got) {
		t.Errorf("%+v, %v", got, err)
	}
	for what, try := range map[string]func() (signin.Ticket, error){
		"another browser": func() (signin.Ticket, error) { return h.Open(tenantID, "other", "code", sealed) },
		"no browser":      func() (signin.Ticket, error) { return h.Open(tenantID, "", "code", sealed) },
		"another tenant":  func() (signin.Ticket, error) { return h.Open("other", "browser", "code", sealed) },
		"another form":    func() (signin.Ticket, error) { return h.Open(tenantID, "browser", "sign-in", sealed) },
		"altered":         func() (signin.Ticket, error) { return h.Open(tenantID, "browser", "code", sealed[:len(sealed)-2]+"AA") },
		"cut":             func() (signin.Ticket, error) { return h.Open(tenantID, "browser", "code", sealed[:5]) },
		"too long":        func() (signin.Ticket, error) { return h.Open(tenantID, "browser", "code", strings.Repeat("A", 1<<20)) },
		"too old": func() (signin.Ticket, error) {
			h.wait(signin.TicketLife + time.Second)
			return h.Open(tenantID, "browser", "code", sealed)
		},
	} {
		if what == "too old" {
			continue // last
		}
		if got, err := try(); !errors.Is(err, fault.BadRequest) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	h.wait(signin.TicketLife + time.Second)
	if _, err := h.Open(tenantID, "browser", "code", sealed); !errors.Is(err, fault.BadRequest) {
		t.Errorf("too old: %v", err)
	}
}

func TestWhatRanOutIsForgotten(t *testing.T) {
	h := open(t)
	g, err := h.Redeem(t.Context(), h.visit, h.app, h.code(t, h.in(t)), "http://localhost:1", verifier)
	if err != nil {
		t.Fatal(err)
	}
	h.wait(signin.RefreshLife - time.Hour)
	if more, err := h.store.ForgetSignIns(t.Context()); err != nil || more {
		t.Fatal(more, err)
	}
	if _, err := h.Renew(t.Context(), h.visit, h.app, g.Refresh.Reveal(), nil); err != nil {
		t.Errorf("a refresh token was forgotten too early: %v", err)
	}
	h.wait(signin.RefreshLife + time.Hour)
	if _, err := h.store.ForgetSignIns(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, err := h.store.Sessions(t.Context(), tenantID, annID, 100); err != nil || len(list) != 0 {
		t.Errorf("%d sessions, %v", len(list), err)
	}
}

func FuzzTicket(f *testing.F) {
	h := open(f)
	f.Add(h.Seal(tenantID, "browser", signin.Ticket{For: "code"}))
	f.Add("AAAA")
	f.Add("")
	f.Fuzz(func(t *testing.T, sealed string) {
		if _, err := h.Open(tenantID, "browser", "other", sealed); !errors.Is(err, fault.BadRequest) {
			t.Errorf("%q: %v", sealed, err)
		}
	})
}

func FuzzScope(f *testing.F) {
	h := open(f)
	f.Add(scope, "")
	f.Add(resource+"/.default", resource)
	f.Add("/", "/")
	f.Fuzz(func(t *testing.T, scope, of string) {
		s, err := h.ReadScope(h.app, scope, of)
		if err != nil {
			return
		}
		granted, err := s.Granted(h.app)
		if err != nil || len(granted) > len(h.app.Scopes) || s.Resource != "" && !h.Resources.Accept(s.Resource) {
			t.Errorf("%q %q: %+v %q %v", scope, of, s, granted, err)
		}
	})
}

// What a guess takes tells nothing of whether there is such a person.
func TestAGuessTakesAsLongWhoeverIsMeant(t *testing.T) {
	h := open(t)
	took := map[string][]time.Duration{}
	names := []string{ann, "nobody@example.org"}
	for range 16 {
		h.wait(time.Minute)
		slices.Reverse(names) // neither always comes after the other
		for _, name := range names {
			a := h.attempt("guess")
			a.Principal = name
			begun := time.Now()
			if _, err := h.Password(t.Context(), a); !errors.Is(err, fault.Unauthorized) {
				t.Fatal(err)
			}
			took[name] = append(took[name], time.Since(begun))
		}
	}
	median := func(name string) time.Duration { slices.Sort(took[name]); return took[name][len(took[name])/2] }
	there, absent := median(ann), median("nobody@example.org")
	ratio := float64(there) / float64(absent)
	t.Logf("median of a wrong password %s, of nobody %s: ratio %.3f", there, absent, ratio)
	if ratio < 0.25 || ratio > 4 { // a machine that does other things; without the decoy it is a hundred
		t.Errorf("time tells who there is: ratio %.2f", ratio)
	}
}
