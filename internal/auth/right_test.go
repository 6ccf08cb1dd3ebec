package auth

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/device"
	"swab/internal/fault"
)

// TestARightThatIsMissingIsSaidInTheContractsWords holds the texts: clients parse
// what comes after "API required roles:".
func TestARightThatIsMissingIsSaidInTheContractsWords(t *testing.T) {
	person := func(scopes []string, p ...Permission) Caller {
		return Caller{Kind: User, Scopes: scopes, Person: Rights{Permissions: p}}
	}
	for name, test := range map[string]struct {
		who   Caller
		right Right
		want  string
	}{
		"the server itself":            {Caller{Kind: Server}, AdministerAll, ""},
		"an application":               {Caller{Kind: Application, Roles: []string{ReadAll}}, ReadMachines, ""},
		"the other role of two":        {Caller{Kind: Application, Roles: []string{ReadWriteAll}}, ReadMachines, ""},
		"an application without":       {Caller{Kind: Application, Roles: []string{CollectForensics, Administer}}, FetchPackage, "Missing application roles. API required roles: Machine.Read.All,Machine.ReadWrite.All, application roles: Machine.CollectForensics,Swab.Administer."},
		"an application with nothing":  {Caller{Kind: Application}, Collect, "Missing application roles. API required roles: Machine.CollectForensics, application roles: ."},
		"scopes are no roles":          {Caller{Kind: Application, Scopes: []string{CollectForensics}}, Collect, "Missing application roles. API required roles: Machine.CollectForensics, application roles: ."},
		"a device":                     {Caller{Kind: DeviceKind}, Collect, "Missing application roles. API required roles: Machine.CollectForensics, application roles: ."},
		"a person":                     {person([]string{CollectForensics}, AlertsInvestigation), Collect, ""},
		"a person fetches by collect":  {person([]string{CollectForensics}, AlertsInvestigation), FetchPackage, ""},
		"a person without the scope":   {person([]string{Read, ReadWrite}, AlertsInvestigation), Collect, "Missing application scopes. API required scopes: Machine.CollectForensics, application scopes: Machine.Read,Machine.ReadWrite."},
		"a person without the role":    {person([]string{CollectForensics}, ViewData, ManageSecurity), Collect, "Missing user roles. API required roles: Alerts investigation, user roles: View data,Manage security settings."},
		"a person with roles of apps":  {Caller{Kind: User, Roles: []string{CollectForensics}}, Collect, "Missing application scopes. API required scopes: Machine.CollectForensics, application scopes: ."},
		"no permission is needed":      {person([]string{Read}), AnyOf, ""},
		"portal is not administrator":  {person([]string{Administer}, ManagePortal), AdministerAll, "Missing user roles. API required roles: Administrator, user roles: Manage portal system settings."},
		"administrators do everything": {person([]string{Administer}, BuiltIn().Permissions...), AdministerAll, ""},
	} {
		err := test.who.Need(test.right)
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v, want nothing", name, err)
			}
			continue
		}
		e, ok := errors.AsType[*fault.Error](err)
		if !ok || !errors.Is(err, fault.Forbidden) || e.Text != test.want {
			t.Errorf("%s:\n got %v\nwant %s", name, err, test.want)
		}
	}
}

func TestRightsComeOfAllRoles(t *testing.T) {
	policy := &Policy{
		Roles: []Role{
			func() Role { r := BuiltIn(); r.Groups = []string{"admins"}; return r }(),
			{ID: "r1", Permissions: []Permission{AlertsInvestigation}, Groups: []string{"analysts"}},
			{ID: "r2", Permissions: []Permission{ViewData, AlertsInvestigation}, Groups: []string{"readers", "leads"}},
		},
		Groups: device.NewGroups([]device.Group{
			{ID: 1, Name: "Servers", Rank: 2, UserGroups: []string{"analysts", "leads"}},
			{ID: 2, Name: "Labs", Rank: 1},
			{ID: 3, Name: "Board", Rank: 3, UserGroups: []string{"leads"}},
		}),
	}
	for name, test := range map[string]struct {
		groups []string
		want   Rights
	}{
		"nobody":            {nil, Rights{Permissions: []Permission{}, Reach: device.Reach{Groups: []int64{}}}},
		"a group without":   {[]string{"guests"}, Rights{Permissions: []Permission{}, Reach: device.Reach{Groups: []int64{}}}},
		"open groups alone": {[]string{"readers"}, Rights{Permissions: []Permission{ViewData, AlertsInvestigation}, Reach: device.Reach{Groups: []int64{0, 2}, By: []string{"readers"}}}},
		"a group's own":     {[]string{"analysts", "guests"}, Rights{Permissions: []Permission{AlertsInvestigation}, Reach: device.Reach{Groups: []int64{0, 1, 2}, By: []string{"analysts", "guests"}}}},
		"all of them":       {[]string{"leads"}, Rights{Permissions: []Permission{ViewData, AlertsInvestigation}, Reach: device.Reach{All: true, By: []string{"leads"}}}},
		"administrators":    {[]string{"readers", "admins"}, Rights{Permissions: BuiltIn().Permissions, Reach: device.Everywhere}},
	} {
		if d := cmp.Diff(test.want, policy.Rights(test.groups)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestRightsWithinOthers(t *testing.T) {
	some := Rights{Permissions: []Permission{ViewData}, Reach: device.Reach{Groups: []int64{1, 3}}}
	for name, test := range map[string]struct {
		a, b Rights
		want bool
	}{
		"the same":           {some, some, true},
		"nothing":            {Rights{}, some, true},
		"fewer groups":       {Rights{Permissions: some.Permissions, Reach: device.Reach{Groups: []int64{3}}}, some, true},
		"another group":      {Rights{Reach: device.Reach{Groups: []int64{2}}}, some, false},
		"everywhere":         {Rights{Reach: device.Everywhere}, some, false},
		"within everywhere":  {some, Rights{Permissions: some.Permissions, Reach: device.Everywhere}, true},
		"another permission": {Rights{Permissions: []Permission{ManagePortal}}, some, false},
	} {
		if got := test.a.Within(test.b); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
