package gateway

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"swab/internal/vault"
)

// What bounds the connections of strangers hears of devices that proved who they are, and of nobody else.
func TestOnlyWhoProvedItselfIsKnown(t *testing.T) {
	var known atomic.Int64
	h := newHouse(t, func(o *Options, _ *vault.Options) { o.OnKnown = func(context.Context) { known.Add(1) } })
	expect := func(what string, want int64) {
		t.Helper()
		if got := known.Swap(0); got != want {
			t.Errorf("%s: told %d times, want %d", what, got, want)
		}
	}
	stranger := newAgent(t, h)
	if resp, _ := stranger.enrol(t, "guess"); resp.StatusCode == http.StatusCreated {
		t.Fatal("a guessed token enrols")
	}
	stranger.login(t)
	stranger.token = "guess"
	if resp, _, err := stranger.dialStatus(t); err == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a guessed access token opens a channel: %v, %v", resp, err)
	}
	expect("a stranger", 0)
	d := enrolled(t, h, tenantID)
	expect("a login", 1)
	d.connect(t)
	expect("a channel", 1)
}
