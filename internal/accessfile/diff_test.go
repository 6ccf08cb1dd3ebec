package accessfile_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/accessfile"
)

func parse(t *testing.T, text string) accessfile.File {
	t.Helper()
	f, err := accessfile.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return f
}

func lines(changes []accessfile.Change) string {
	var b strings.Builder
	for _, c := range changes {
		b.WriteString(c.String() + "\n")
	}
	return b.String()
}

const rule = "rule: [{property: tag, operator: equals, values: [x]}]"

func TestDiffSaysWhatIsDoneInWhichOrder(t *testing.T) {
	for _, tc := range []struct{ what, have, want, diff string }{
		{"what is there already", whole, whole, ""},
		{"upper and lower case of what names", whole, strings.NewReplacer("[tier 1]", "[TIER 1]", "0f1e: Tier 1", "0f1e: TIER 1", "[Debian]", "[debian]").Replace(whole), ""},
		{"a section that is not in the file", whole, "users:\n- {principal: ann@contoso.example, name: Ann}\n- {principal: bob@contoso.example, disabled: true}", ""},
		{"everything", "{}", strings.Replace(whole, "    clientId: 5b0f7a51-3d7e-4a8f-9a3c-0d6f1e2c0001\n", "", 1), `
+ user group 1234
+ user group Tier 1: description "Watch, and collect\nfrom servers"
+ user ann@contoso.example: name Ann
+ user bob@contoso.example: disabled
~ user group Tier 1: members +ann@contoso.example +bob@contoso.example
+ device group Servers: description What serves; rule +os equals Debian +tag startsWith dmz or prod; open to everybody who has a role; rank 1
~ device group Ungrouped devices (default): userGroups +Tier 1
~ role Administrator: userGroups +Tier 1
+ role Responder: permissions +View data +Alerts investigation; userGroups +tier 1
+ application Portal: public true; redirects +http://localhost; scopes +Machine.Read
+ application SOAR: roles +Machine.Read.All
+ issuer Entra: url https://login.example/contoso/v2.0; audiences +api://swab; claims +person=oid +principal=upn; groups +0f1e=Tier 1; roles +Collector=Machine.CollectForensics; networks +10.0.0.0/8
`},
		{"nothing is wanted", whole, "userGroups: []\nusers: []\nroles: [{name: administrator}]\ndeviceGroups: [{name: Ungrouped devices (default), userGroups: []}]\napplications: []\nissuers: []", `
~ device group Ungrouped devices (default): userGroups -Tier 1; open to everybody who has a role
~ role administrator: userGroups -Tier 1
! application Portal: not in the file, and left as it is
! application SOAR: not in the file, and left as it is
! issuer Entra: not in the file, and left as it is
- role Responder
- device group Servers
- user ann@contoso.example: disabled
- user group 1234
- user group Tier 1
`},
		{"one administrator follows another", `
userGroups: [{name: Admins, members: [ann@x.example]}]
users: [{principal: ann@x.example}]
roles: [{name: Administrator, userGroups: [Admins]}]`, `
userGroups: [{name: Admins, members: [bob@x.example]}]
users: [{principal: bob@x.example}]`, `
+ user bob@x.example
~ user group Admins: members +bob@x.example
~ user group Admins: members -ann@x.example
- user ann@x.example: disabled
`},
		{"a person comes back", "users: [{principal: ann@x.example, disabled: true}]", "users: [{principal: ann@x.example, name: Ann}]", `
~ user ann@x.example: name Ann; enabled
`},
		{"a name in other letters, a field that is emptied", "userGroups: [{name: soc, description: x}]", "userGroups: [{name: SOC}]", `
~ user group SOC: name SOC; no description
`},
		{"a role that is given more", "roles: [{name: Responder, permissions: [View data]}]", "roles: [{name: Responder, permissions: [View data, Alerts investigation]}]", `
~ role Responder: permissions +Alerts investigation
`},
		{"a group comes between, two change places, one goes", `
deviceGroups:
- {name: A, userGroups: [], ` + rule + `}
- {name: Gone, userGroups: [], ` + rule + `}
- {name: B, userGroups: [], ` + rule + `}
- {name: C, userGroups: [], ` + rule + `}`, `
deviceGroups:
- {name: New, userGroups: [], ` + rule + `}
- {name: C, userGroups: [], ` + rule + `}
- {name: A, userGroups: [], ` + rule + `}
- {name: B, userGroups: [], ` + rule + `}`, `
+ device group New: rule +tag equals x; open to everybody who has a role; rank 1
~ device group C: rank 2
- device group Gone
`},
		{"names that look like a diff", "{}", `roles: [{name: "A; userGroups +B", userGroups: []}]`, `
+ role "A; userGroups +B"
`},
	} {
		got, err := accessfile.Diff(parse(t, tc.have), parse(t, tc.want), accessfile.Options{})
		if diff := cmp.Diff(strings.TrimPrefix(tc.diff, "\n"), lines(got)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", tc.what, err, diff)
		}
	}
}

func TestMissingApplicationsAndIssuersAreRevokedWhereThatIsAskedFor(t *testing.T) {
	got, err := accessfile.Diff(parse(t, whole), parse(t, "applications: [{name: portal}]\nissuers: []"), accessfile.Options{RevokeMissing: true})
	want := `~ application portal: name portal; public false; redirects -http://localhost; scopes -Machine.Read
- issuer Entra: revoked
- application SOAR: revoked
`
	if diff := cmp.Diff(want, lines(got)); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// What can't be done is told before anything is.
func TestDiffRefusesWhatNamesNothing(t *testing.T) {
	twins := accessfile.File{Applications: []accessfile.Application{{Name: "A", ClientID: "1"}, {Name: "a", ClientID: "2"}}}
	two := accessfile.Issuer{Name: "A", URL: "https://x"}
	for _, tc := range []struct {
		what string
		have accessfile.File
		want string
		err  string
	}{
		{"a role of a group that is not there", accessfile.File{}, "roles: [{name: R, userGroups: [SOC]}]", "role R: there is no user group SOC"},
		{"a device group of one", accessfile.File{}, "userGroups: []\ndeviceGroups: [{name: D, userGroups: [SOC], " + rule + "}]", "device group D: there is no user group SOC"},
		{"an issuer of one", accessfile.File{}, "issuers: [{name: I, url: 'https://x', audiences: [a], groups: {x: SOC}}]", "issuer I: there is no user group SOC"},
		{"a group that goes and that a role names", parse(t, whole), "userGroups: [{name: '1234'}]\nroles: [{name: R, userGroups: [tier 1]}]\ndeviceGroups: []\nissuers: []",
			"role R names the user group Tier 1, which the file does not have\n" +
				"role administrator names the user group Tier 1, which the file does not have\n" +
				"device group Ungrouped devices (default) names the user group Tier 1, which the file does not have"},
		{"a member who is not there", accessfile.File{}, "userGroups: [{name: A, members: [ann@x.example]}]", "user group A: there is no user ann@x.example"},
		{"an application of no id", accessfile.File{}, "applications: [{name: A, clientId: x}]", "application A: there is none with the client id x; leave the id out to make one"},
		{"an application of two", twins, "applications: [{name: A}]", "application A: 2 are called so; give each its clientId, as swab app list shows it"},
		{"an application twice", accessfile.File{Applications: twins.Applications[:1]}, "applications: [{name: A}, {name: B, clientId: '1'}]", "application B: the file names it twice, by its name and by its client id 1"},
		{"two issuers of one name", accessfile.File{Issuers: []accessfile.Issuer{two, two}}, "issuers: []", "issuer A: two of https://x are called so; revoke one by its id, as swab issuer list shows it"},
	} {
		got, err := accessfile.Diff(tc.have, parse(t, tc.want), accessfile.Options{})
		if err == nil || got != nil || err.Error() != tc.err {
			t.Errorf("%s: %v, %v; want %s", tc.what, got, err, tc.err)
		}
	}
}
