package signin_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"swab/internal/fault"
	"swab/internal/signin"
)

// Whatever happens in whatever order, a code is worth one grant at most, to its own
// application, in its time; and what it gave goes on unless it came again.
func TestACodeIsWorthOneGrantAtMost(t *testing.T) {
	h := open(t)
	other := h.app
	other.ID = "7f0e6d5c-1a2b-4c3d-8e9f-000000000000"
	rapid.Check(t, func(rt *rapid.T) {
		s := h.in(t)
		code, until := h.code(t, s), h.clock().Add(signin.CodeLife)
		var given signin.Grant
		used, out, reused := false, false, false
		for range rapid.IntRange(1, 6).Draw(rt, "events") {
			event := rapid.SampledFrom([]string{"right", "right", "wrong verifier", "another application", "sign out", "wait"}).Draw(rt, "event")
			app, proof := h.app, verifier
			switch event {
			case "wait":
				h.wait(time.Duration(rapid.IntRange(1, 90).Draw(rt, "seconds")) * time.Second)
				continue
			case "sign out":
				if err := h.SignOut(t.Context(), h.visit, s); err != nil && !errors.Is(err, fault.NotFound) {
					rt.Fatal(err)
				}
				out = true
				continue
			case "wrong verifier":
				proof = strings.Repeat("w", 43)
			case "another application":
				app = other
			}
			g, err := h.Redeem(t.Context(), h.visit, app, code, "http://localhost:1", proof)
			want := event == "right" && !used && !out && h.clock().Before(until)
			switch {
			case want && err == nil:
				given = g
			case want || reason(err) != signin.InvalidGrant:
				rt.Fatalf("%s (used %t, signed out %t): %v", event, used, out, err)
			case app.ID == h.app.ID && given.Session.ID != "":
				reused = true
			}
			used = used || app.ID == h.app.ID
		}
		if given.Session.ID != "" && h.alive(t, given.Session.ID) == reused {
			rt.Fatalf("the sign-in goes on: %t, the code came again: %t", !reused, reused)
		}
	})
}

// The same of a device code, which its person decides.
func TestADeviceCodeIsWorthOneGrantAtMost(t *testing.T) {
	h := open(t)
	rapid.Check(t, func(rt *rapid.T) {
		h.wait(time.Minute) // as many as one network may ask for
		s := h.in(t)
		c, clear, err := h.BeginDevice(t.Context(), h.visit, h.app, h.scope(t, scope))
		if err != nil {
			rt.Fatal(err)
		}
		state, ended, reused := signin.DevicePending, false, false
		var given signin.Grant
		var polled time.Time
		for range rapid.IntRange(1, 8).Draw(rt, "events") {
			switch event := rapid.SampledFrom([]string{"poll", "poll", "poll", "allow", "deny", "end", "wait"}).Draw(rt, "event"); event {
			case "wait":
				h.wait(time.Duration(rapid.IntRange(1, 400).Draw(rt, "seconds")) * time.Second)
			case "allow", "deny":
				err := h.Decide(t.Context(), h.visit, s, c, h.app, event == "allow")
				switch {
				case event == "allow" && !s.ProvedWithin(signin.Fresh, h.clock()):
					if !errors.Is(err, fault.Unauthorized) {
						rt.Fatalf("allowed by a sign-in of a while ago: %v", err)
					}
				case state == signin.DevicePending && h.clock().Before(c.Expires) && !(ended && event == "allow"):
					if err != nil {
						rt.Fatal(err)
					}
					if state = signin.DeviceDenied; event == "allow" {
						state = signin.DeviceApproved
					}
				case !errors.Is(err, fault.NotFound):
					rt.Fatalf("%s in state %s: %v", event, state, err)
				}
			case "end":
				if err := h.SignOutOf(t.Context(), h.visit, s, s.Session.ID); err != nil && !errors.Is(err, fault.NotFound) {
					rt.Fatal(err)
				}
				ended = true
			case "poll":
				g, err := h.RedeemDevice(t.Context(), h.visit, h.app, clear.Reveal())
				var want signin.ErrorCode
				switch now := h.clock(); {
				case state == signin.DeviceUsed:
					want, reused = signin.InvalidGrant, true
				case state == signin.DeviceDenied:
					want = signin.Denied
				case !now.Before(c.Expires):
					want = signin.Expired
				case state == signin.DevicePending:
					if want = signin.Pending; !polled.IsZero() && now.Sub(polled) < signin.DevicePause-500*time.Millisecond {
						want = signin.SlowDown
					} else {
						polled = now
					}
				case ended:
					want, state = signin.InvalidGrant, signin.DeviceUsed
				default:
					state, given = signin.DeviceUsed, g
				}
				if reason(err) != want || want == "" && err != nil {
					rt.Fatalf("poll in state %s: %v, want %q", state, err, want)
				}
			}
		}
		if given.Session.ID != "" && h.clock().Before(given.Session.Expires) && h.alive(t, given.Session.ID) == (reused || ended) {
			rt.Fatalf("the sign-in goes on: %t; the code came again %t, ended %t", h.alive(t, given.Session.ID), reused, ended)
		}
	})
}

func FuzzKnown(f *testing.F) {
	h := open(f)
	person, credential, err := h.store.Account(f.Context(), tenantID, ann)
	if err != nil {
		f.Fatal(err)
	}
	good := h.know(f, person)
	f.Add(good)
	f.Add("..")
	f.Add(good + ".")
	f.Add(good + "\n")
	f.Fuzz(func(t *testing.T, cookie string) {
		if id := h.Known(cookie, person, credential); (id != "") != (cookie == good) {
			t.Errorf("%q is of the browser %q", cookie, id)
		}
	})
}
