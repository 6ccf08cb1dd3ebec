package clients

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/public"

	"swab/client"
	"swab/test/visitor"
)

// peopleLibraries are those that people sign in to. A run is by "code", as
// somebody who may do everything, or by "device" code, as somebody who may see
// the devices alone. What the person has to do meanwhile is asked of ask: to open
// an address, or to type a code at one.
var peopleLibraries = []struct {
	name string
	run  func(t *testing.T, s site, mode string, ask asking) []step
}{
	{"MSAL Go", msalGoPerson},
	{"azidentity", azIdentityPerson},
	{"msal-node", personsProgram("node", "node/people.mjs")},
	{"python3-msal", personsProgram("/usr/bin/python3", "python/people.py")},
}

// asking is how a library's program asks its person to do something.
type asking func(do, address, code string)

var (
	byCode   = slices.Concat([]string{"token", "who"}, road[1:], []string{"reuse", "refresh"})
	byDevice = []string{"token", "who", "list", "refused"}
)

// Each library, as it is, signs a person in by a browser on the same machine and
// by a device code, and does with the token what the person may, and no more.
func TestPeopleSignIn(t *testing.T) {
	for _, store := range stores {
		t.Run(store.name, func(t *testing.T) {
			in := install(t, store.flags(t)...)
			ann, bob := in.people(t)
			for _, l := range peopleLibraries {
				t.Run(l.name, func(t *testing.T) {
					s := in.public(t, l.name)
					in.check(t, s, l.run(t, s, "code", in.person(t, ann)), byCode)
					steps := l.run(t, s, "device", in.person(t, bob))
					in.check(t, s, steps, byDevice)
					const refused = "Missing user roles. API required roles: Alerts investigation, user roles: View data."
					if last := steps[len(steps)-1].seen; last != refused {
						t.Errorf("what it was refused with: %q, want %q", last, refused)
					}
				})
			}
		})
	}
}

// people are two: one with every right that the road takes, and one who may look.
func (h *house) people(t *testing.T) (ann, bob *visitor.Person) {
	t.Helper()
	const password, next = "Orchid-Lantern-52-Quarry", "Quarry-Otter-17-Lantern"
	one := func(principal string, permissions ...string) *visitor.Person {
		name, _, _ := strings.Cut(principal, "@")
		group, err := h.admin.CreateUserGroup(t.Context(), client.UserGroupRequest{Name: "Of " + name})
		must(t, err)
		_, err = h.admin.CreateRole(t.Context(), client.RoleRequest{Name: "Of " + name, Permissions: permissions, UserGroups: []string{group.ID}})
		must(t, err)
		_, err = h.admin.CreateUser(t.Context(), client.UserRequest{Principal: principal, Name: name, Password: password, Groups: []string{group.ID}})
		must(t, err)
		return &visitor.Person{Principal: principal, Password: password, Next: next}
	}
	return one("ann@example.com", "View data", "Alerts investigation"), one("bob@example.com", "View data")
}

// public makes an application that people sign in to.
func (h *house) public(t *testing.T, name string) site {
	t.Helper()
	cred, err := h.Credentials()
	must(t, err)
	app, err := h.admin.CreateApp(t.Context(), client.AppRequest{
		Name: name, Public: true, Redirects: []string{"http://localhost"}, Scopes: []string{"Machine.Read", "Machine.CollectForensics"},
	})
	must(t, err)
	return site{
		API: cred.APIBase, Authority: cred.Authority, Tenant: cred.TenantID, CA: cred.CAFile, ClientID: app.ID,
		Name: h.device.Name, Device: h.device.ID, Away: h.away.ID,
	}
}

// person does what a library's program asks of its person, each in a browser of
// its own.
func (h *house) person(t *testing.T, who *visitor.Person) asking {
	return func(do, address, code string) {
		browser := visitor.Open(t)
		var (
			page visitor.Page
			err  error
		)
		switch do {
		case "open":
			page, err = browser.SignIn(address, who)
		case "device":
			page, err = browser.Approve(address, code, who)
		}
		if err != nil {
			t.Errorf("%s %s: %v; the page says %q", do, address, err, page.Text)
		}
	}
}

// personsProgram is program for a script that a person signs in to.
func personsProgram(interpreter, script string) func(*testing.T, site, string, asking) []step {
	return func(t *testing.T, s site, mode string, ask asking) []step {
		t.Helper()
		cmd := exec.CommandContext(within(t, 2*time.Minute), interpreter, script, mode)
		cmd.Env = append(os.Environ(),
			"SWAB_API="+s.API, "SWAB_AUTHORITY="+s.Authority, "SWAB_TENANT="+s.Tenant, "SWAB_CA="+s.CA,
			"SWAB_CLIENT_ID="+s.ClientID, "SWAB_CLIENT_SECRET=", "SWAB_CERTIFICATE=", "SWAB_EC_CERTIFICATE=",
			"SWAB_NAME="+s.Name, "SWAB_DEVICE="+s.Device, "SWAB_AWAY="+s.Away,
			"NODE_EXTRA_CA_CERTS="+s.CA, "REQUESTS_CA_BUNDLE="+s.CA, "BROWSER="+opener(t, "/dev/stdout")+" %s",
		)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		steps := follow(out, ask)
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%s %s %s: %v\n%v\n%s", interpreter, script, mode, err, steps, errs.String())
		}
		return steps
	}
}

// follow reads what a program does, and has its person do what it asks.
func follow(out io.Reader, ask asking) (steps []step) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		name, seen, _ := strings.Cut(lines.Text(), "\t")
		if name == "open" || name == "device" {
			address, code, _ := strings.Cut(seen, "\t")
			ask(name, address, code)
			continue
		}
		steps = append(steps, step{name, seen})
	}
	return steps
}

// opener makes a program that stands for the browser that a library opens: it
// writes the address to a file.
func opener(t *testing.T, to string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "xdg-open")
	must(t, os.WriteFile(name, []byte("#!/bin/sh\nprintf 'open\\t%s\\n' \"$1\" >>"+to+"\n"), 0o700))
	return name
}

// msalGoPerson is MSAL for Go.
func msalGoPerson(t *testing.T, s site, mode string, ask asking) []step {
	g := &goRun{T: t, site: s, ctx: within(t, 2*time.Minute), http: trusting(t, s)}
	ctx, httpClient := g.ctx, g.http
	authority, apiBase, clientID := g.Authority, g.API, g.ClientID

	// doc: person
	app, err := public.New(clientID, public.WithAuthority(authority),
		public.WithHTTPClient(httpClient), public.WithInstanceDiscovery(false))
	must(g.T, err)
	scopes := []string{apiBase + "/Machine.Read", apiBase + "/Machine.CollectForensics"}
	byBrowser := func(open func(address string) error) (public.AuthResult, error) {
		return app.AcquireTokenInteractive(ctx, scopes, public.WithOpenURL(open))
	}
	byDeviceCode := func(show func(address, code string)) (public.AuthResult, error) {
		asked, err := app.AcquireTokenByDeviceCode(ctx, scopes)
		must(g.T, err)
		show(asked.Result.VerificationURL, asked.Result.UserCode)
		return asked.AuthenticationResult(ctx)
	}
	// doc: end

	if mode == "device" {
		result, err := byDeviceCode(func(address, code string) { ask("device", address, code) })
		must(t, err)
		g.look(g.bearer(func() string { return result.AccessToken }), result.Account.PreferredUsername)
		return g.steps
	}
	var browsing sync.WaitGroup
	defer browsing.Wait()
	result, err := byBrowser(func(address string) error {
		browsing.Go(func() { ask("open", address, "") }) // the library goes on when this has returned
		return nil
	})
	must(t, err)
	g.say("token", "Bearer")
	g.say("who", result.Account.PreferredUsername)
	g.road(g.bearer(func() string { return result.AccessToken }))
	again, err := app.AcquireTokenSilent(ctx, scopes, public.WithSilentAccount(result.Account))
	must(t, err)
	if again.AccessToken == result.AccessToken {
		g.say("reuse", "true")
	}
	// With a claims request, the library asks although it has a token.
	next, err := app.AcquireTokenSilent(ctx, scopes, public.WithSilentAccount(result.Account), public.WithClaims(`{"access_token":{"nbf":null}}`))
	must(t, err)
	if next.AccessToken == result.AccessToken {
		t.Error("the token was not refreshed")
	}
	g.list(g.bearer(func() string { return next.AccessToken }), "refresh")
	return g.steps
}

// look does what somebody does who may see the device, and no more.
func (g *goRun) look(call caller, who string) {
	g.Helper()
	g.say("token", "Bearer")
	g.say("who", who)
	g.list(call, "list")
	refused := g.call(call, 403, "POST", "machines/"+g.Device+"/collectInvestigationPackage", map[string]string{"Comment": "alert 1234"})
	g.say("refused", refused.Error.Message)
}
