// Package clients has the libraries that real clients of Defender are made with
// sign in at a running server and walk the whole road with the token: list,
// collect, poll, link, download, cancel. None of them is changed or replaced;
// how each is pointed at the server is what docs/clients.md says, word for word.
package clients

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	"swab/test/installation"
	"swab/test/postgres"
)

var programs installation.Programs

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "swab-clients-")
	if err == nil {
		programs, err = installation.Build(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// stores are the databases on which every client is tried.
var stores = []struct {
	name  string
	flags func(testing.TB) []string
}{
	{"SQLite", func(testing.TB) []string { return nil }},
	{"PostgreSQL", func(t testing.TB) []string { return []string{"--database", emptyDatabase(t)} }},
}

// emptyDatabase makes a database in PostgreSQL, for one server.
func emptyDatabase(t testing.TB) string {
	t.Helper()
	cluster, err := postgres.Shared()
	must(t, err)
	name, database, err := postgres.Create(cluster, "")
	must(t, err)
	t.Cleanup(func() {
		if err := postgres.Drop(cluster, name); err != nil {
			t.Error(err)
		}
	})
	return database
}

// road are the steps that every client takes with its first token, and wrong is
// the last: what an operator sees who gave it a wrong secret.
var road = []string{"token", "list", "machine", "collect", "poll", "link", "download", "second", "cancel"}

const wrong = "wrong-secret"

// libraries are the clients; more is what each does after the road. reuse is a
// token that is not asked for again; what follows are other proofs of the
// application, by the algorithm that the library signs with: its own by the
// certificate, and ES256, by which none signs, with an assertion made by hand.
var libraries = []struct {
	name string
	run  func(*testing.T, site, string) []step
	more []string
	asks bool // whether it asks if a host that it does not know is an authority
}{
	{"MSAL Go", goClient(msalGo), []string{"reuse", "PS256", "x5c", "ES256"}, true},
	{"azidentity", goClient(azIdentity), []string{"reuse", "PS256", "x5c", "ES256"}, true},
	{"oauth2", goClient(xOAuth2), []string{"reuse", "in-body", "basic", "ES256"}, false},
	{"msal-node", program("node", "node/msal.mjs"), []string{"reuse", "PS256", "RS256", "x5c", "ES256"}, true},
	{"azure-identity", program("node", "node/identity.mjs"), []string{"reuse", "PS256", "x5c", "ES256"}, true},
	{"python3-msal", program("/usr/bin/python3", "python/flow.py"), []string{"reuse", "RS256", "x5c", "ES256"}, true},
	{"curl", program("bash", "curl/flow.sh"), []string{
		"v1", "v1-get", "v2-get", "no-content-type", "v1-no-content-type", "basic", "v1-basic", "RS256", "body-untyped", "body-text", "body-of-get",
	}, false},
}

// Each library, as it is, walks the whole road on each store.
func TestWholeRoad(t *testing.T) {
	for _, store := range stores {
		t.Run(store.name, func(t *testing.T) {
			t.Parallel()
			in := install(t, store.flags(t)...)
			for _, l := range libraries {
				t.Run(l.name, func(t *testing.T) {
					s := in.admit(t, l.name)
					in.check(t, s, l.run(t, s, "flow"), slices.Concat(road, l.more, []string{wrong}))
				})
			}
		})
	}
}

// Instance discovery is how a library makes sure, before it sends a secret, that
// a host is an authority. It asks Microsoft's sign-in host, and where that name
// leads here, by a proxy or by DNS, it is we who answer. Then every setting can
// stay as it is by default: in a client with our own address, and in one in which
// Microsoft's names are written.
func TestEverySettingByDefault(t *testing.T) {
	in := install(t, "--url", signIn, "--url", api)
	proxy := in.proxy(t)
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			s := in.admit(t, l.name)
			s.Proxy = proxy
			want := []step{{"list", "found"}}
			before := in.discoveries(t)
			if got := l.run(t, s, "defaults"); !slices.Equal(got, want) {
				t.Errorf("with our own address: steps %v, want %v", got, want)
			}
			if asked := in.discoveries(t) > before; asked != l.asks {
				t.Errorf("with our own address: instance discovery is asked: %v, want %v", asked, l.asks)
			}
			s.API, s.Authority = api, signIn+"/"+s.Tenant
			if got := l.run(t, s, "defaults"); !slices.Equal(got, want) {
				t.Errorf("with the names that are written in: steps %v, want %v", got, want)
			}
		})
	}
}
