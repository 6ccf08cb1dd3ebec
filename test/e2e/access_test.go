package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// other has other people, roles and groups than the guide's example, and some of
// the same in other forms.
const other = `
userGroups:
  - {name: ADMINISTRATORS, members: [bob@contoso.example, ann@contoso.example]}
  - {name: Tier 2, description: "Two\nlines"}
users:
  - {principal: ann@contoso.example, name: Ann}
  - {principal: bob@contoso.example}
  - {principal: eve@contoso.example, name: Eve}
roles:
  - {name: responder, permissions: [View data, Manage security settings], userGroups: [Tier 2]}
  - {name: Watcher, permissions: [View data], userGroups: [Tier 2, Administrators]}
deviceGroups:
  - name: Ungrouped devices (default)
    description: Nobody's
    userGroups: []
  - name: Servers
    rule: [{property: tag, operator: contains, values: ["a, b", Prod]}]
    userGroups: []
  - name: domain controllers
    rule: [{property: domain, operator: equals, values: [Corp.example]}]
    userGroups: [Tier 2]
  - name: Labs
    rule: [{property: os, operator: equals, values: [MacOS]}]
    userGroups: [Administrators]
applications:
  - {name: portal, scopes: [Machine.Read], roles: [Machine.Read.All], redirects: ["https://portal.example/back"]}
  - {name: bootstrap, roles: [Swab.Administer]}
issuers:
  - name: Keycloak
    url: https://sso.contoso.example/realms/soc
    audiences: ["api://swab", other]
    claims: {person: sub, groups: realm_access.groups}
    groups: {/tier2: tier 2, "a=b": Administrators}
`

// A server takes the guide's example and any other file, gives back what it took,
// and then has nothing more to change.
func TestAccessFilesAreAppliedAndExported(t *testing.T) {
	guide, err := os.ReadFile("../../docs/access.md")
	must(t, err)
	_, rest, _ := strings.Cut(string(guide), "```yaml\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("docs/access.md has no example in YAML")
	}
	in := server(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		return filepath.Join(dir, name)
	}
	call := func(code int, says string, args ...string) {
		t.Helper()
		if got, out := swab(t, in, args...); got != code || !strings.Contains(out, says) {
			t.Errorf("swab %s: exit code %d, want %d and %q in:\n%s", strings.Join(args, " "), got, code, says, out)
		}
	}
	call(0, "initial password", "user", "create", "ann@contoso.example", "--name", "Ann", "--administrator")
	first, second := file("example.yaml", example+"  - {name: Second, url: \"https://second.example\", audiences: [x]}\n"), file("other.yaml", other)
	exported := func(name string) string {
		call(0, "", "access", "export", "-o", filepath.Join(dir, name))
		call(0, "Nothing differs", "apply", "-f", filepath.Join(dir, name))
		return filepath.Join(dir, name)
	}
	call(3, "+ user group Tier 1: description ", "apply", "-f", first, "--dry-run")
	call(0, " changes made", "apply", "-f", first, "--yes")
	call(0, "! application bootstrap: not in the file", "apply", "-f", first, "--dry-run")
	back := exported("first.yaml")
	call(0, "- user group Tier 1", "apply", "-f", second, "--yes")
	call(0, "! issuer Second: not in the file", "apply", "-f", second, "--dry-run")
	exported("second.yaml")
	call(0, "+ user group Tier 1", "apply", "-f", back, "--yes")
	call(0, "Nothing differs", "apply", "-f", back, "--yes")
	call(1, "it would revoke the application bootstrap", "apply", "-f", file("none.yaml", "applications: []"), "--revoke-missing", "--yes")
	if code, out := swab(t, in, "audit", "verify"); code != 0 {
		t.Errorf("audit verify: %s", out)
	}
}
