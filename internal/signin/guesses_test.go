package signin_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"swab/internal/auth"
	"swab/internal/credential"
	"swab/internal/fault"
	"swab/internal/limit"
	"swab/internal/signin"
)

// looked counts the tries that were looked at, and were wrong.
func looked(t *testing.T, tries int, try func(n int) error) int {
	t.Helper()
	count := 0
	for n := range tries {
		if err := try(n); errors.Is(err, fault.Unauthorized) {
			count++
		} else if !errors.Is(err, fault.TooMany) {
			t.Fatalf("try %d: %v", n, err)
		}
	}
	return count
}

// Whoever was signed in again and again has no more guesses of it.
func TestBrowsersThatAreKnownGuessTogether(t *testing.T) {
	h := open(t)
	person := h.in(t).Person
	var cookies []string
	for range 5 {
		cookies = append(cookies, h.know(t, person))
	}
	n := looked(t, 50, func(n int) error {
		a := h.attempt("guess")
		a.Known = cookies[n%len(cookies)]
		_, err := h.Password(t.Context(), a)
		return err
	})
	if n != 20 {
		t.Errorf("%d passwords were looked at in a minute, want 20", n)
	}

	totp := credential.NewTOTP()
	h.wait(time.Minute)
	p, err := h.Password(t.Context(), h.attempt(password))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.EnrolTOTP(t.Context(), h.visit, p, totp, oneTime(totp, h.clock())); err != nil {
		t.Fatal(err)
	}
	if p, err = h.Password(t.Context(), h.attempt(password)); err != nil {
		t.Fatal(err)
	}
	for i := range cookies {
		cookies[i] = h.know(t, person)
	}
	code := func(n int) error {
		_, err := h.Code(t.Context(), h.visit, p, signin.TypedCode{Code: "not six", Known: cookies[n%len(cookies)]})
		return err
	}
	inHour := looked(t, 50, code)
	if inHour != 5 {
		t.Errorf("%d codes were looked at in a minute, want 5", inHour)
	}
	for range 5 {
		h.wait(time.Minute)
		inHour += looked(t, 50, code)
	}
	if inHour != 15 {
		t.Errorf("%d codes were looked at in an hour, want 15", inHour)
	}
}

// Whoever knew what a person proved themselves by is known no more when it is another.
func TestNoBrowserIsKnownByWhatWasChanged(t *testing.T) {
	h := open(t)
	person := h.in(t).Person
	for _, c := range []struct {
		what   string
		change func(*auth.Credential)
		known  bool
	}{
		{"a one-time code was used, as at a sign-in", func(c *auth.Credential) { c.Step++ }, true},
		{"another password", func(c *auth.Credential) { h.wait(time.Second); c.Changed = h.clock() }, false},
		{"a second step", func(c *auth.Credential) { c.TOTP = []byte("sealed") }, false},
		{"another second step", func(c *auth.Credential) { c.TOTP = []byte("sealed otherwise") }, false},
		{"no second step", func(c *auth.Credential) { c.TOTP = nil }, false},
	} {
		known := h.know(t, person)
		h.change(t, c.change)
		k, err := h.store.Credential(t.Context(), tenantID, annID)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.Known(known, person, k) != ""; got != c.known {
			t.Errorf("%s: known %t, want %t", c.what, got, c.known)
		}
		other := person
		other.ID = "somebody who has the name now"
		if h.Known(h.know(t, person), other, k) != "" {
			t.Error("known for another person of the same name")
		}
	}
}

// One account takes its part of the queue, and no more than that.
func TestRightPasswordsOfOneKeepNobodyOut(t *testing.T) {
	h := open(t)
	bob := auth.Person{Tenant: tenantID, ID: "1b", Principal: "bob@example.org"}
	if err := h.store.CreateUser(t.Context(), bob, auth.Credential{Password: hashed(), Changed: h.clock()}); err != nil {
		t.Fatal(err)
	}
	known := make([]string, 6) // as one who signed in so often has
	for i := range known {
		known[i] = h.know(t, bob)
	}
	for _, cookies := range [][]string{{""}, known} {
		var right, slowed atomic.Int64
		var all sync.WaitGroup
		begin := make(chan struct{})
		for n := range 60 {
			all.Go(func() {
				<-begin
				for range 2 {
					a := h.attempt(password)
					a.Principal, a.From, a.Known = bob.Principal, fmt.Sprint("198.51.100.", n), cookies[n%len(cookies)]
					switch _, err := h.Password(t.Context(), a); {
					case err == nil:
						right.Add(1)
					case errors.Is(err, fault.TooMany):
						slowed.Add(1)
					default:
						t.Error(err)
					}
				}
			})
		}
		close(begin)
		a := h.attempt(password)
		a.Known = h.know(t, auth.Person{Tenant: tenantID, ID: annID})
		if _, err := h.Password(t.Context(), a); err != nil {
			t.Errorf("another person meanwhile: %v", err)
		}
		all.Wait()
		if n := right.Load(); n > 20 || n+slowed.Load() != 120 {
			t.Errorf("%d sign-ins of 120 and %d refused, want at most 20 and the rest", n, slowed.Load())
		}
	}
}

func TestAPersonSignsInTwentyTimesAMinute(t *testing.T) {
	h := open(t)
	right := 0
	for n := range 25 {
		_, err := h.Password(t.Context(), h.attempt(password))
		if e, slowed := errors.AsType[*limit.Exceeded](err); slowed != (n >= 20) || slowed && e.Retry != time.Minute {
			t.Fatalf("sign-in %d: %v", n, err)
		}
		if err == nil {
			right++
		}
	}
	h.wait(time.Minute)
	if _, err := h.Password(t.Context(), h.attempt(password)); err != nil || right != 20 {
		t.Errorf("%d in the minute; after it: %v", right, err)
	}
}

// A step that has a hash made is not taken without end either.
func TestNewPasswordsAreNotTriedWithoutEnd(t *testing.T) {
	h := open(t)
	h.change(t, func(c *auth.Credential) { c.MustChange = true })
	p, err := h.Password(t.Context(), h.attempt(password))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 12 {
		_, err := h.NewPassword(t.Context(), h.visit, p, password)
		if want := map[bool]fault.Code{true: fault.InvalidInput, false: fault.TooMany}[n < 10]; !errors.Is(err, want) {
			t.Errorf("try %d: %v, want %s", n, err, want)
		}
	}
}

func (h *hall) beginDevice(t testing.TB, from string) (signin.DeviceCode, error) {
	t.Helper()
	v := h.visit
	v.From = from
	c, _, err := h.BeginDevice(t.Context(), v, h.app, h.scope(t, scope))
	return c, err
}

// Networks that ask for many device codes don't take those of others.
func TestManyDeviceCodesKeepNobodyFromTheirOwn(t *testing.T) {
	h := open(t)
	given := 0
	for n := range 30 {
		for range 40 {
			if _, err := h.beginDevice(t, fmt.Sprint("198.51.100.", n)); err == nil {
				given++
			} else if !errors.Is(err, fault.TooMany) {
				t.Fatal(err)
			}
		}
	}
	if want := 30*3 + 600; given != want {
		t.Errorf("30 networks got %d device codes in a minute, want %d", given, want)
	}
	if _, err := h.beginDevice(t, "192.0.2.77"); err != nil {
		t.Errorf("another network: %v", err)
	}
}

// Device codes that nobody decides are bounded, and those who asked for few keep
// theirs the longest.
func TestDeviceCodesThatWaitAreBounded(t *testing.T) {
	h := open(t)
	own, err := h.beginDevice(t, "192.0.2.77")
	if err != nil {
		t.Fatal(err)
	}
	var first signin.DeviceCode
	n := 0
	for minute := 0; n <= signin.MaxPending; minute++ {
		for i := range 200 {
			for range 3 {
				c, err := h.beginDevice(t, fmt.Sprintf("10.0.0.%d", i))
				if err != nil {
					t.Fatal(err)
				}
				if n++; n == 1 {
					first = c
				}
			}
		}
		h.wait(time.Minute)
	}
	left := 0
	if err := h.store.DropDeviceCodes(t.Context(), tenantID, 0, func(pending []signin.DeviceCode) []signin.DeviceCode {
		left = len(pending)
		return nil
	}); err != nil || left > signin.MaxPending || left < signin.LeftPending {
		t.Errorf("%d wait, %v; want at most %d", left, err, signin.MaxPending)
	}
	s := h.in(t)
	if _, _, err := h.Device(t.Context(), h.visit, s, string(own.UserCode)); err != nil {
		t.Errorf("the code of one who asked once: %v", err)
	}
	if _, _, err := h.Device(t.Context(), h.visit, s, string(first.UserCode)); !errors.Is(err, fault.NotFound) {
		t.Errorf("the first code of those who asked for many: %v", err)
	}
}

// What was decided goes to nobody's advantage.
func TestADeviceCodeThatWasDecidedStays(t *testing.T) {
	h := open(t)
	c, err := h.beginDevice(t, "192.0.2.77")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Decide(t.Context(), h.visit, h.in(t), c, h.app, true); err != nil {
		t.Fatal(err)
	}
	if _, err := h.beginDevice(t, "192.0.2.77"); err != nil {
		t.Fatal(err)
	}
	var pending []signin.DeviceCode
	drop := func(all []signin.DeviceCode) []signin.DeviceCode { pending = all; return append(slices.Clone(all), c) }
	if err := h.store.DropDeviceCodes(t.Context(), tenantID, 1, drop); err != nil || len(pending) != 1 {
		t.Fatal(pending, err)
	}
	if d, err := h.store.DeviceCode(t.Context(), tenantID, c.UserCode); err != nil || d.State != signin.DeviceApproved {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := h.store.DeviceCode(t.Context(), tenantID, pending[0].UserCode); !errors.Is(err, fault.NotFound) {
		t.Errorf("one that waited is still there: %v", err)
	}
}
