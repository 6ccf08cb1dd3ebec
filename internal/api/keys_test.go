package api

import (
	"net/http"
	"strings"
	"testing"
)

func TestTheTokenKeyIsRotatedAndWithdrawn(t *testing.T) {
	in := install(t)
	const path = "/api/admin/v1/keys/access-tokens"
	g := in.as(t, full, "GET", path, "")
	if g.status != http.StatusOK || strings.Count(g.raw, `"state":"signs"`) != 1 || !strings.Contains(g.raw, `"until":null`) {
		t.Fatalf("list: %d %s", g.status, g.raw)
	}
	for body, status := range map[string]int{`{"withdraw":"yes"}`: 400, `{"Withdraw":true}`: 400, `[]`: 400, `{"now":true}`: 400} {
		if g := in.as(t, full, "POST", path+"/rotate", body); g.status != status || g.code(t) != "InvalidRequestBody" {
			t.Errorf("%s: %d %s", body, g.status, g.raw)
		}
	}
	next := in.as(t, full, "POST", path+"/rotate", "")
	if next.status != http.StatusOK || next.text("state") != "announced" {
		t.Fatalf("rotate: %d %s", next.status, next.raw)
	}
	if again := in.as(t, full, "POST", path+"/rotate", "{}"); again.raw != next.raw {
		t.Errorf("rotate again: %s, want %s", again.raw, next.raw)
	}
	if g := in.as(t, reader, "GET", "/api/machines", ""); g.status != http.StatusOK {
		t.Errorf("a token after a rotation: %d %s", g.status, g.raw)
	}
	if g := in.as(t, full, "POST", path+"/rotate", `{"withdraw":true}`); g.status != http.StatusOK || g.text("state") != "signs" {
		t.Errorf("withdraw: %d %s", g.status, g.raw)
	}
	g = in.as(t, reader, "GET", "/api/machines", "")
	if g.status != http.StatusUnauthorized || !strings.Contains(g.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("a token of a withdrawn key: %d %s", g.status, g.raw)
	}
}
