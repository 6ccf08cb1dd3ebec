package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestFiltersAreApart(t *testing.T) {
	in := install(t)
	home := in.furnish(t, another{id: tenantID, token: in.token[full]}, "ours.corp.example")
	theirs := in.furnish(t, in.newTenant(t, "fabrikam.example"), "theirs.corp.example")
	for _, path := range []string{
		"/api/machines?$filter=id+eq+'{machine}'", "/api/machines?$filter=computerDnsName+eq+'{name}'", "/api/machines?$filter=startswith(computerDnsName,'{name}')",
		"/api/machines/$count?$filter=id+eq+'{machine}'", "/api/machineactions?$filter=id+eq+'{action}'", "/api/machineactions?$filter=machineId+eq+'{machine}'",
		"/api/machineactions/$count?$filter=machineId+eq+'{machine}'",
	} {
		ask := func(th things) (string, got) {
			g := in.with(t, home.another, "GET", th.fill(path, url.PathEscape), "")
			s := g.raw
			for name, thing := range th {
				if !slices.Contains(alike, name) {
					s = strings.ReplaceAll(s, thing, "{"+name+"}")
				}
			}
			return strings.ReplaceAll(s, g.header.Get("request-id"), "REQUEST"), g
		}
		got, g := ask(theirs.things)
		if want, _ := ask(absent); got != want || g.status != http.StatusOK {
			t.Errorf("GET %s for another tenant's: %d %s\nfor nobody's: %s", path, g.status, got, want)
		}
		if own, g := ask(home.things); own == got {
			t.Errorf("GET %s for one's own: %s", path, g.raw)
		}
	}
}
