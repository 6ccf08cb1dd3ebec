package accessfile_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/access"
	"swab/internal/accessfile"
	"swab/internal/auth"
	"swab/internal/device"
)

// The words are the server's own, which this package may not import.
func TestWordsAndBoundsAreThoseOfTheServer(t *testing.T) {
	var permissions []string
	for _, p := range auth.RolePermissions {
		permissions = append(permissions, string(p))
	}
	for _, tc := range []struct {
		what      string
		got, want []string
	}{
		{"permissions", accessfile.Permissions, permissions},
		{"roles of applications", accessfile.AppRoles, auth.Permissions},
		{"scopes", accessfile.Scopes, auth.Scopes},
		{"the built-in role", []string{accessfile.BuiltIn}, []string{auth.BuiltIn().Name}},
	} {
		if diff := cmp.Diff(tc.want, tc.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.what, diff)
		}
	}
	if accessfile.MaxName != access.MaxName || accessfile.MaxDescription != access.MaxDescription || accessfile.MaxPrincipal != access.MaxPrincipal {
		t.Errorf("bounds %d, %d and %d, want %d, %d and %d", accessfile.MaxName, accessfile.MaxDescription, accessfile.MaxPrincipal,
			access.MaxName, access.MaxDescription, access.MaxPrincipal)
	}
}

const whole = `# Who may do what.
userGroups:
  - name: Tier 1
    description: |-
      Watch, and collect
      from servers
    members: [ann@contoso.example, BOB@contoso.example]
  - {name: "1234"}
users:
  - principal: ann@contoso.example
    name: Ann
  - principal: bob@contoso.example
    disabled: true
roles:
  - name: administrator
    userGroups: [Tier 1]
  - name: Responder
    permissions: [View data, Alerts investigation]
    userGroups: [tier 1]
deviceGroups:
  - name: Servers
    description: What serves
    rule:
      - {property: tag, operator: startsWith, values: [prod, dmz]}
      - {property: os, operator: equals, values: [Debian]}
    userGroups: []
  - name: Ungrouped devices (default)
    userGroups: [Tier 1]
applications:
  - name: SOAR
    clientId: 5b0f7a51-3d7e-4a8f-9a3c-0d6f1e2c0001
    roles: [Machine.Read.All]
  - name: Portal
    public: true
    redirects: ["http://localhost"]
    scopes: [Machine.Read]
issuers:
  - name: Entra
    url: https://login.example/contoso/v2.0
    audiences: [api://swab]
    claims: {person: oid, principal: upn}
    groups: {0f1e: Tier 1}
    roles: {Collector: Machine.CollectForensics}
    networks: [10.0.0.0/8]
`

func TestAFileIsReadAsItStands(t *testing.T) {
	got, err := accessfile.Parse([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	want := accessfile.File{
		UserGroups: []accessfile.UserGroup{
			{Name: "Tier 1", Description: "Watch, and collect\nfrom servers", Members: []string{"ann@contoso.example", "bob@contoso.example"}},
			{Name: "1234"},
		},
		Users: []accessfile.User{{Principal: "ann@contoso.example", Name: "Ann"}, {Principal: "bob@contoso.example", Disabled: true}},
		Roles: []accessfile.Role{
			{Name: "administrator", UserGroups: []string{"Tier 1"}},
			{Name: "Responder", Permissions: []string{"View data", "Alerts investigation"}, UserGroups: []string{"tier 1"}},
		},
		DeviceGroups: []accessfile.DeviceGroup{
			{Name: "Servers", Description: "What serves", Rule: device.Rule{
				{Property: device.ByTag, Operator: device.StartsWith, Values: []string{"prod", "dmz"}},
				{Property: device.BySystem, Operator: device.Equals, Values: []string{"Debian"}},
			}},
			{Name: device.DefaultGroupName, UserGroups: []string{"Tier 1"}},
		},
		Applications: []accessfile.Application{
			{Name: "SOAR", ClientID: "5b0f7a51-3d7e-4a8f-9a3c-0d6f1e2c0001", Roles: []string{"Machine.Read.All"}},
			{Name: "Portal", Public: true, Redirects: []string{"http://localhost"}, Scopes: []string{"Machine.Read"}},
		},
		Issuers: []accessfile.Issuer{{
			Name: "Entra", URL: "https://login.example/contoso/v2.0", Audiences: []string{"api://swab"},
			Claims: accessfile.Claims{Person: "oid", Principal: "upn"},
			Groups: map[string]string{"0f1e": "Tier 1"}, Roles: map[string]string{"Collector": "Machine.CollectForensics"}, Networks: []string{"10.0.0.0/8"},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
	for _, empty := range []string{"", "# nothing\n", "---\n", "{}\n", "null\n"} {
		if got, err := accessfile.Parse([]byte(empty)); err != nil || cmp.Diff(accessfile.File{}, got) != "" {
			t.Errorf("Parse(%q) = %v, %v; want a file without sections", empty, got, err)
		}
	}
	if got, err := accessfile.Parse([]byte("roles: []")); err != nil || got.Roles == nil || len(got.Roles) != 0 {
		t.Errorf("an empty section: %v, %v", got, err)
	}
}

func TestWhatIsWrongWithAFileIsToldByItsLine(t *testing.T) {
	long := strings.Repeat("x", accessfile.MaxName+1)
	for _, tc := range []struct{ in, want string }{
		{"roles:\n  - name: A\n    permission: [View data]", `line 3: a role has no key "permission"; there are name, description, permissions, userGroups`},
		{"rules: []", `line 1: the file has no key "rules"; there are userGroups, users, roles, deviceGroups, applications, issuers`},
		{"roles: []\nroles: []", `line 2: the key "roles" stands there twice`},
		{"roles:\n- name: A\n- name: B\n- name: a", `line 4: it is named on line 2 already`},
		{"users:\n- principal: Ann@x.example\n- principal: ann@x.example", `line 3: it is named on line 2 already`},
		{"roles:\n- description: x", `line 2: a role has no name: what is it called?`},
		{"roles:\n- name: ' '", `line 2: name is empty`},
		{"roles:", `line 1: roles has no value; leave the line out, or write [] for none`},
		{"roles: {}", `line 1: it takes a list: [a, b], or a line with - for each`},
		{"roles: [A]", `line 1: a role is no mapping of names to values`},
		{"- roles", `line 1: the file is no mapping of names to values`},
		{"just text", `line 1: the file is no mapping of names to values`},
		{"roles:\n- name: [A]", `line 2: name takes a single value`},
		{"roles:\n- name: !x A", `line 2: name takes a single value`},
		{"roles:\n- name: " + long, `line 2: name has over 200 characters, or some that can't be seen`},
		{"roles:\n- name: \"a\\u202eb\"", `line 2: name has over 200 characters, or some that can't be seen`},
		{"roles:\n- name: A\n  description: \"a\\e[2J\"", `line 3: description has over 1000 characters, or some that can't be seen`},
		{"roles:\n- name: A\n  permissions: [View data, View Data]", `line 3: permissions has no "View Data"; there are View data, Active remediation actions, Alerts investigation, Manage security settings, Manage portal system settings, Live response (basic), Live response (advanced)`},
		{"roles:\n- name: A\n  permissions: [View data, View data]", `line 3: "View data" is in the list twice`},
		{"roles:\n- name: A\n  userGroups: [x, X]", `line 3: "X" is in the list twice`},
		{"roles:\n- name: Administrator\n  permissions: [View data]", `line 2: the role Administrator holds all permissions, and can be given userGroups alone`},
		{"users:\n- principal: ann", `line 2: "ann" is no user principal name such as ann@contoso.example`},
		{"users:\n- principal: a@b@c", `line 2: "a@b@c" is no user principal name such as ann@contoso.example`},
		{"users:\n- principal: a@b.example\n  disabled: yes", `line 3: disabled is true or false, not "yes"`},
		{"deviceGroups:\n- name: A\n  userGroups: []", `line 2: a device group has no rule: which devices are in it?`},
		{"deviceGroups:\n- name: A\n  rule: [{property: tag, operator: equals, values: [x]}]", `line 2: a device group has no userGroups: who reaches its devices? [] is everybody who has a role`},
		{"deviceGroups:\n- name: A\n  userGroups: []\n  rule: []", `line 4: rule: a rule has at least one condition: name one property with its values`},
		{"deviceGroups:\n- name: A\n  userGroups: []\n  rule: [{property: tags, operator: equals, values: [x]}]", `line 4: rule: condition 1: there is no property "tags"; there are deviceName, domain, tag, os`},
		{"deviceGroups:\n- name: A\n  userGroups: []\n  rule: [{property: tag, values: [x]}]", `line 4: a condition has no operator: one of equals, startsWith, endsWith, contains`},
		{"deviceGroups:\n- name: A\n  userGroups: []\n  rule: [{property: tag, operator: equals, values: ['']}]", `line 4: values has an empty one`},
		{"deviceGroups:\n- name: ungrouped devices (Default)\n  userGroups: []\n  rule: [{property: tag, operator: equals, values: [x]}]", `line 4: the group "Ungrouped devices (default)" is of the devices that match no rule, and has none`},
		{"applications:\n- name: A\n- name: a", `line 3: it is named on line 2 already`},
		{"applications:\n- name: A\n  secret: x", `line 3: an application has no key "secret"; there are name, clientId, public, redirects, scopes, roles`},
		{"applications:\n- name: A\n  roles: [Machine.Read]", `line 3: roles has no "Machine.Read"; there are Machine.CollectForensics, Machine.Read.All, Machine.ReadWrite.All, Swab.Administer`},
		{"issuers:\n- name: A\n  url: https://x\n  audiences: [x]\n  roles: {x: y}", `line 5: roles has no "y"; there are Machine.CollectForensics, Machine.Read.All, Machine.ReadWrite.All, Swab.Administer`},
		{"issuers:\n- name: A\n  url: https://x\n  audiences: [x]\n  groups: {x: y, x: z}", `line 5: the key "x" stands there twice`},
		{"issuers:\n- name: A\n  url: https://x\n  audiences: [x]\n  groups: [x]", `line 5: groups takes a mapping: {their word: ours}`},
		{"issuers:\n- name: A\n  url: https://x\n  audiences: [x]\n  networks: [10.0.0.1/8]", `line 5: "10.0.0.1/8" is no network such as 10.0.0.0/8`},
		{"x: &a [b]\nroles: *a", `line 2: roles: *a: an alias is not taken here; write it out`},
		{"roles:\n- &a {name: A}\n- *a", `line 3: *a: an alias is not taken here; write it out`},
		{"roles:\n- <<: {name: A}", `line 2: a role has no key "<<"; there are name, description, permissions, userGroups`},
		{"? [roles]\n: []", `line 1: the file has no key ""; there are userGroups, users, roles, deviceGroups, applications, issuers`},
		{"a: 1\n---\nb: 1", "there is more than one YAML document"},
		{"roles: [", "yaml:"},
		{strings.Repeat("[", 20_000), "exceeded max depth"},
		{"# " + strings.Repeat("x", accessfile.MaxFile), "it has over 1048576 bytes"},
	} {
		f, err := accessfile.Parse([]byte(tc.in))
		if err == nil || !slices.ContainsFunc(strings.Split(err.Error(), "\n"), func(line string) bool {
			return line == tc.want || !strings.HasPrefix(tc.want, "line") && strings.Contains(line, tc.want)
		}) {
			t.Errorf("Parse(%.120q) = %v; want %s", tc.in, err, tc.want)
		}
		if diff := cmp.Diff(accessfile.File{}, f); err != nil && diff != "" {
			t.Errorf("Parse(%.120q) returned half a file beside its error", tc.in)
		}
	}
}

func TestAllThatIsWrongIsToldAtOnceWithinABound(t *testing.T) {
	_, err := accessfile.Parse([]byte("users:\n" + strings.Repeat("- {x: 1}\n", 1000)))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 21 || lines[20] != "and more" || !strings.HasPrefix(lines[2], "line 3: ") {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
}

// A file as people keep it, in review and in a repository: golden, so that a change
// of the form is seen.
func TestTheWrittenFormIsTheSameEachTime(t *testing.T) {
	f, err := accessfile.Parse([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	want := `userGroups:
  - name: "1234"
  - name: Tier 1
    description: "Watch, and collect\nfrom servers"
    members: [ann@contoso.example, bob@contoso.example]
users:
  - principal: ann@contoso.example
    name: Ann
  - principal: bob@contoso.example
    disabled: true
roles:
  - name: administrator
    userGroups: [Tier 1]
  - name: Responder
    permissions: [View data, Alerts investigation]
    userGroups: [tier 1]
deviceGroups:
  - name: Servers
    description: What serves
    rule:
      - {property: tag, operator: startsWith, values: [prod, dmz]}
      - {property: os, operator: equals, values: [Debian]}
    userGroups: []
  - name: Ungrouped devices (default)
    userGroups: [Tier 1]
applications:
  - name: Portal
    public: true
    redirects: ["http://localhost"]
    scopes: [Machine.Read]
  - name: SOAR
    clientId: "5b0f7a51-3d7e-4a8f-9a3c-0d6f1e2c0001"
    roles: [Machine.Read.All]
issuers:
  - name: Entra
    url: "https://login.example/contoso/v2.0"
    audiences: ["api://swab"]
    claims:
      person: oid
      principal: upn
    groups:
      "0f1e": Tier 1
    roles:
      Collector: Machine.CollectForensics
    networks: ["10.0.0.0/8"]
`
	if diff := cmp.Diff(want, string(accessfile.Write(f))); diff != "" {
		t.Errorf("Write (-want +got):\n%s", diff)
	}
	if got := string(accessfile.Write(accessfile.File{Roles: []accessfile.Role{}})); got != "roles: []\n" {
		t.Errorf("an empty section is written as %q", got)
	}
}

func TestOnlyLeavesOtherSectionsOut(t *testing.T) {
	f, err := accessfile.Parse([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(accessfile.Sections, f.Has()); diff != "" {
		t.Errorf("the sections of a whole file (-want +got):\n%s", diff)
	}
	for _, section := range accessfile.Sections {
		if diff := cmp.Diff([]string{section}, f.Only([]string{section}).Has()); diff != "" {
			t.Errorf("only %s (-want +got):\n%s", section, diff)
		}
		text := string(accessfile.Write(f.Only([]string{section})))
		if !strings.HasPrefix(text, section+":\n") || strings.Count(text, "\n  - ") == 0 || strings.Count("\n"+text, ":\n  - ") != 1 {
			t.Errorf("only %s:\n%s", section, text)
		}
	}
}
