package access_test

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/access"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
)

func TestRedirects(t *testing.T) {
	for _, s := range []string{
		"https://soar.example", "https://soar.example:8443/signed-in?tenant=1", "https://192.0.2.1/", "https://[2001:db8::1]/x", "http://localhost", "http://localhost:8400/",
		"http://127.0.0.1", "http://127.0.0.1:1/x", "http://[::1]:8080/", "com.example.app:/signed-in", "com.example.app://x/y", "org.a-b.c+d:/",
		"https://x.example/" + strings.Repeat("x", access.MaxURL-18),
	} {
		if err := access.CheckRedirect(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{
		"", "x", "/x", "//x.example", "https:", "https://", "https:///x", "http://soar.example", "http://localhost.example", "http://127.0.0.1.example", "http://127.0.0.2", "http://0.0.0.0",
		"http://[::2]", "http://localhost@x.example", "https://user@x.example", "https://x.example#", "https://x.example/#a", "https://x.example/ a", "https://x.example/\n", "https://x.example\\@y.example",
		"javascript:alert(1)", "data:text/html,x", "file:///x", "myapp:/x", "myapp://x", ".a:/x", "a.:/x", "a..b:/x", "com.example.app:x", "com.example.app", "HTTPS://x.example", "Com.Example:/x",
		"https://x.example/ä", "ms-app://x", "https://x.example/" + strings.Repeat("x", access.MaxURL),
	} {
		if err := access.CheckRedirect(s); !errors.Is(err, fault.InvalidInput) || len(err.Error()) > 600 {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func FuzzCheckRedirect(f *testing.F) {
	for _, s := range []string{"https://soar.example/x", "http://localhost:1", "com.example.app:/x", "http://127.0.0.1@x.example/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if access.CheckRedirect(s) != nil {
			return
		}
		u, err := url.Parse(s)
		if err != nil || strings.ContainsAny(s, "#\\ \r\n") || u.User != nil || u.Fragment != "" || len(s) > access.MaxURL {
			t.Fatalf("%q is taken", s)
		}
		if own := strings.Contains(u.Scheme, "."); !own && u.Scheme != "https" && !(u.Scheme == "http" && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())) {
			t.Errorf("%q is taken", s)
		}
	})
}

func TestApplicationIsChangedWithTheDifferenceInTheLog(t *testing.T) {
	o := newOffice(t)
	app, _, err := o.CreateApp(t.Context(), admin, as(access.NewApp{Name: "SOAR", Roles: []string{auth.ReadAll}, Scopes: []string{auth.ReadWrite, auth.CollectForensics}, Redirects: []string{"https://soar.example/x"}, Secret: &access.NewSecret{}}))
	must(t, err)
	if !slices.Equal(app.Scopes, []string{auth.CollectForensics, auth.ReadWrite}) || app.Public {
		t.Errorf("made %+v", app)
	}
	if leaf, changes := o.changes(); leaf.Detail != "Machine.Read.All,Machine.CollectForensics,Machine.ReadWrite" || len(changes) != 4 {
		t.Errorf("entry %+v with %+v", leaf, changes)
	}
	want := app
	want.Name, want.Roles, want.Scopes, want.Redirects = "Night shift", []string{auth.CollectForensics}, []string{auth.Read}, []string{"http://localhost"}
	for range 2 {
		got, err := o.ChangeApp(t.Context(), admin, app.ID, as(access.AppChange{Name: &want.Name, Roles: &want.Roles, Scopes: &want.Scopes, Redirects: &want.Redirects}))
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b []auth.Certificate) bool { return len(a) == len(b) })); err != nil || diff != "" {
			t.Errorf("ChangeApp(): %v (-want +got):\n%s", err, diff)
		}
	}
	leaf, changes := o.changes()
	if _, n := last(t, o.st); leaf.Act != audit.ActChangeApp || leaf.Object != app.ID || n != 3 { // the second time changed nothing
		t.Errorf("entry %d is %+v", n, leaf)
	}
	entry := []audit.Change{
		{Field: "name", From: []string{"SOAR"}, To: []string{"Night shift"}}, {Field: "roles", From: []string{auth.ReadAll}, To: []string{auth.CollectForensics}},
		{Field: "scopes", From: []string{auth.CollectForensics, auth.ReadWrite}, To: []string{auth.Read}}, {Field: "redirects", From: []string{"https://soar.example/x"}, To: []string{"http://localhost"}},
	}
	if diff := cmp.Diff(entry, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if _, err := o.RevokeApp(t.Context(), admin, app.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := o.ChangeApp(t.Context(), admin, app.ID, as(access.AppChange{Name: new("x")})); !errors.Is(err, fault.BadRequest) {
		t.Errorf("change what is revoked: %v", err)
	}
}

func TestPublicApplicationKeepsNoSecret(t *testing.T) {
	o := newOffice(t)
	make := func(n access.NewApp) error { _, _, err := o.CreateApp(t.Context(), admin, as(n)); return err }
	for what, err := range map[string]error{
		"with a secret":           make(access.NewApp{Name: "x", Public: true, Secret: &access.NewSecret{}}),
		"with a role":             make(access.NewApp{Name: "x", Public: true, Roles: []string{auth.ReadAll}}),
		"a scope of no user's":    make(access.NewApp{Name: "x", Scopes: []string{auth.ReadAll}}),
		"a redirect to elsewhere": make(access.NewApp{Name: "x", Redirects: []string{"http://x.example"}}),
		"a redirect twice":        make(access.NewApp{Name: "x", Redirects: []string{"https://x.example", "https://x.example"}}),
		"too many redirects": make(access.NewApp{Name: "x", Redirects: func() (list []string) {
			for i := range access.MaxRedirects + 1 {
				list = append(list, fmt.Sprint("https://x.example/", i))
			}
			return list
		}()}),
	} {
		if !errors.Is(err, fault.InvalidInput) {
			t.Errorf("%s: %v", what, err)
		}
	}
	app, secret, err := o.CreateApp(t.Context(), admin, as(access.NewApp{Name: "x", Public: true, Scopes: auth.Scopes, Redirects: []string{"http://localhost"}}))
	if err != nil || secret != nil || !app.Public {
		t.Fatalf("CreateApp() = %+v, %v, %v", app, secret, err)
	}
	if _, err := o.AddSecret(t.Context(), admin, app.ID, as(access.NewSecret{})); !errors.Is(err, fault.BadRequest) {
		t.Errorf("a secret: %v", err)
	}
	if _, err := o.AddCertificate(t.Context(), admin, app.ID, as(access.NewCertificate{Data: certificate(t, p256(t), noon.AddDate(1, 0, 0))})); !errors.Is(err, fault.BadRequest) {
		t.Errorf("a certificate: %v", err)
	}
	if _, err := o.ChangeApp(t.Context(), admin, app.ID, as(access.AppChange{Roles: &[]string{auth.ReadAll}})); !errors.Is(err, fault.InvalidInput) {
		t.Errorf("a role: %v", err)
	}
	if _, err := o.ChangeApp(t.Context(), admin, app.ID, as(access.AppChange{Roles: &[]string{auth.ReadAll}, Public: new(false)})); err != nil {
		t.Errorf("public no more: %v", err)
	}
}

func TestIssuersAreBounded(t *testing.T) {
	o := newOffice(t)
	group := o.group("Responders")
	good := auth.TrustedIssuer{
		Name: "Entra ID", URL: "https://sts.windows.net/9d2b7c4d/", Keys: "https://keys.example/jwks?x=1", Audiences: []string{"api://swab"}, Claims: auth.Claims{Groups: "realm_access.roles"},
		Groups: map[string]string{"a": group}, Roles: map[string]string{"Collector": auth.CollectForensics}, Networks: []string{"10.1.2.3/8", "fd00::/8"},
	}
	made, err := o.CreateIssuer(t.Context(), admin, as(good))
	must(t, err)
	want := good
	want.Tenant, want.ID, want.Created, want.Networks = tenant, made.ID, noon, []string{"10.0.0.0/8", "fd00::/8"}
	got, err := o.Issuer(t.Context(), admin, made.ID)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Issuer(): %v (-want +got):\n%s", err, diff)
	}
	many := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprint("x", i))
		}
		return list
	}
	for what, change := range map[string]func(*auth.TrustedIssuer){
		"the same again":                func(i *auth.TrustedIssuer) { i.URL = good.URL },
		"no name":                       func(i *auth.TrustedIssuer) { i.Name = " " },
		"no url":                        func(i *auth.TrustedIssuer) { i.URL = "" },
		"http":                          func(i *auth.TrustedIssuer) { i.URL = "http://x.example" },
		"a url with a query":            func(i *auth.TrustedIssuer) { i.URL = "https://x.example/?a" },
		"a url with a user":             func(i *auth.TrustedIssuer) { i.URL = "https://a@x.example" },
		"keys in a file":                func(i *auth.TrustedIssuer) { i.Keys = "file:///etc/passwd" },
		"no audience":                   func(i *auth.TrustedIssuer) { i.Audiences = nil },
		"an audience twice":             func(i *auth.TrustedIssuer) { i.Audiences = []string{"a", "a"} },
		"too many audiences":            func(i *auth.TrustedIssuer) { i.Audiences = many(access.MaxAudiences + 1) },
		"a group that is not there":     func(i *auth.TrustedIssuer) { i.Groups = map[string]string{"a": uuidOf(9)} },
		"a role that is none":           func(i *auth.TrustedIssuer) { i.Roles = map[string]string{"a": "b"} },
		"a network that is none":        func(i *auth.TrustedIssuer) { i.Networks = []string{"10.0.0.1"} },
		"a network in the other's form": func(i *auth.TrustedIssuer) { i.Networks = []string{"::ffff:10.0.0.0/104"} },
		"a claim that can't be seen":    func(i *auth.TrustedIssuer) { i.Claims.Person = "a\x00" },
	} {
		i := good
		i.URL = "https://another.example/"
		change(&i)
		if _, err := o.CreateIssuer(t.Context(), admin, as(i)); !errors.Is(err, fault.InvalidInput) && !errors.Is(err, fault.MissingParameter) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for n := range access.MaxIssuers {
		i := good
		i.Audiences = []string{fmt.Sprint("audience ", n)} // of the same url
		if _, err := o.CreateIssuer(t.Context(), admin, as(i)); (err != nil) != (n == access.MaxIssuers-1) {
			t.Errorf("issuer %d: %v", n+2, err)
		}
	}
	manager := o.user("manager@contoso.example", group)
	o.role("Manager", []auth.Permission{auth.ManagePortal}, group)
	if _, err := o.Issuers(t.Context(), o.as(manager)); !errors.Is(err, fault.Forbidden) {
		t.Errorf("for who does not hold the built-in role: %v", err)
	}
}
