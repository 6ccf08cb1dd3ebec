package access_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"swab/internal/access"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/credential"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/signin"
	"swab/internal/store"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func tagged(tags ...string) device.Rule {
	return device.Rule{{Property: device.ByTag, Operator: device.Equals, Values: tags}}
}

// office is a register with what tests of people need often.
type office struct {
	*access.Register
	st *store.Store
	t  testing.TB
}

func newOffice(t *testing.T) office {
	r, st := newRegister(t)
	return office{r, st, t}
}

var admin = caller(tenant, auth.Administer)

// group makes a user group.
func (o office) group(name string) string {
	o.t.Helper()
	g, err := o.CreateUserGroup(o.t.Context(), admin, as(access.NewUserGroup{Name: name}))
	must(o.t, err)
	return g.ID
}

// user makes a user in user groups. Their password is not asked for, so that none
// is hashed.
func (o office) user(principal string, groups ...string) auth.Person {
	o.t.Helper()
	p := auth.Person{Tenant: tenant, ID: uuid.NewString(), Principal: principal, Groups: []string{}, Created: noon}
	must(o.t, o.st.CreateUser(o.t.Context(), p, auth.Credential{}))
	for _, g := range groups {
		_, err := o.AddMember(o.t.Context(), admin, g, p.ID)
		must(o.t, err)
	}
	slices.Sort(groups)
	p.Groups = groups
	return p
}

// role makes a role of user groups.
func (o office) role(name string, permissions []auth.Permission, groups ...string) string {
	o.t.Helper()
	role, err := o.CreateRole(o.t.Context(), admin, as(access.NewRole{Name: name, Permissions: permissions, Groups: groups}))
	must(o.t, err)
	return role.ID
}

// devices makes a device group of the devices with a tag of its name.
func (o office) devices(name string, groups ...string) string {
	o.t.Helper()
	g, err := o.CreateDeviceGroup(o.t.Context(), admin, as(access.NewDeviceGroup{Name: name, Rule: tagged(name), Groups: groups}))
	must(o.t, err)
	return fmt.Sprint(g.ID)
}

// as is a person as the caller.
func (o office) as(p auth.Person) auth.Caller {
	o.t.Helper()
	return auth.Caller{
		Kind: auth.User, Tenant: p.Tenant, ID: p.ID, Name: p.Principal, App: auth.CommandLine, Scopes: []string{auth.Administer}, Person: o.rights(p.ID),
	}
}

// rights are a person's at this moment.
func (o office) rights(id string) auth.Rights {
	o.t.Helper()
	p, err := o.st.Person(o.t.Context(), tenant, id)
	must(o.t, err)
	policy, err := o.st.Policy(o.t.Context(), tenant)
	must(o.t, err)
	return policy.Rights(p.Groups)
}

// signIn begins a sign-in of a person.
func (o office) signIn(p auth.Person) string {
	o.t.Helper()
	s := signin.Session{Tenant: tenant, ID: uuid.NewString(), Person: p.ID, App: auth.CommandLine, Methods: []string{"pwd"}, Proved: noon, Created: noon, Used: noon, Expires: noon.AddDate(0, 0, 1)}
	must(o.t, o.st.AddSession(o.t.Context(), s, nil, "", func(auth.Credential) error { return nil }, entryOf(tenant)))
	return s.ID
}

// changes are those in the newest entry of the first tenant's log.
func (o office) changes() (audit.Leaf, []audit.Change) {
	o.t.Helper()
	entries, err := o.st.AuditEntries(o.t.Context(), tenant, 0, 1000)
	must(o.t, err)
	e := entries[len(entries)-1]
	leaf, err := audit.ParseLeaf(e.Leaf)
	must(o.t, err)
	leaf.Commitment = ""
	c, _ := audit.ParseChanges(e.Opening.Hidden.Comment)
	return leaf, c.Fields
}

func TestUserIsMadeWithAPasswordThatIsToldOnce(t *testing.T) {
	o := newOffice(t)
	group := o.group("Responders")
	made, initial, err := o.CreateUser(t.Context(), admin, as(access.NewUser{Principal: "Ann@Contoso.Example", Name: "Ann Lee", Groups: []string{group, group}}))
	must(t, err)
	want := access.User{Person: auth.Person{Tenant: tenant, ID: made.ID, Principal: "ann@contoso.example", Name: "Ann Lee", Groups: []string{group}, Created: noon}}
	for _, name := range []string{made.ID, "ann@contoso.example", "ANN@contoso.example"} {
		got, err := o.User(t.Context(), admin, name)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("User(%s): %v (-want +got):\n%s", name, err, diff)
		}
	}
	c, err := o.st.Credential(t.Context(), tenant, made.ID)
	must(t, err)
	ok, _, err := credential.NewHasher(1).Verify(t.Context(), c.Password, initial.Reveal())
	if err != nil || !ok || !c.MustChange || !c.Changed.Equal(noon) {
		t.Errorf("its password holds: %t, must be changed: %t, of %s, %v", ok, c.MustChange, c.Changed, err)
	}
	leaf, changes := o.changes()
	if leaf.Act != audit.ActCreateUser || leaf.Object != made.ID || leaf.Detail != "" {
		t.Errorf("entry %+v", leaf)
	}
	entry := []audit.Change{
		{Field: "principal", From: []string{}, To: []string{"ann@contoso.example"}}, {Field: "name", From: []string{}, To: []string{"Ann Lee"}},
		{Field: "groups", From: []string{}, To: []string{group}}, {Field: "password", From: []string{}, To: []string{}},
	}
	if diff := cmp.Diff(entry, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if _, _, err := o.CreateUser(t.Context(), admin, as(access.NewUser{Principal: "ann@CONTOSO.example"})); !errors.Is(err, fault.InvalidInput) {
		t.Errorf("a second user of the principal: %v", err)
	}

	chosen, none, err := o.CreateUser(t.Context(), admin, as(access.NewUser{Principal: "bob@contoso.example", Password: "an Otter in the 3rd canoe"}))
	must(t, err)
	if c, err = o.st.Credential(t.Context(), tenant, chosen.ID); err != nil || none != nil || !c.MustChange {
		t.Errorf("with a password that was chosen for them: %v, to be changed %t, %v", none, c.MustChange, err)
	}
	if _, _, err := o.CreateUser(t.Context(), admin, as(access.NewUser{Principal: "eve@contoso.example", Password: "password1234"})); !errors.Is(err, fault.InvalidInput) {
		t.Errorf("with a password that is guessed first: %v", err)
	}
}

func TestUserIsChangedShutOutAndLetInAgain(t *testing.T) {
	o := newOffice(t)
	ann := o.user("ann@contoso.example")
	group := o.group("Responders")
	step := func(what string, act audit.Act, fields []string, do func() (access.User, error)) access.User {
		t.Helper()
		before, _ := last(t, o.st)
		got, err := do()
		leaf, changes := o.changes()
		var names []string
		for _, c := range changes {
			names = append(names, c.Field)
		}
		if err != nil || leaf.Act != act || leaf.Object != ann.ID || leaf.Result != audit.Done || !slices.Equal(names, fields) {
			t.Errorf("%s: %v, entry %+v with %v", what, err, leaf, names)
		}
		_, n := last(t, o.st)
		if _, err = do(); err != nil { // a second time changes nothing, and is no mistake
			t.Errorf("%s, again: %v", what, err)
		}
		if _, now := last(t, o.st); now != n && act != audit.ActResetPassword && act != audit.ActRevokeSessions {
			t.Errorf("%s, again: %d new entries; before that %+v", what, now-n, before)
		}
		return got
	}
	step("change", audit.ActChangeUser, []string{"principal", "name", "groups"}, func() (access.User, error) {
		return o.ChangeUser(t.Context(), admin, ann.ID, as(access.UserChange{Principal: new("Lee@contoso.example"), Name: new("Ann"), Groups: &[]string{group}}))
	})
	if got, err := o.User(t.Context(), admin, "lee@contoso.example"); err != nil || got.ID != ann.ID || got.Name != "Ann" || !slices.Equal(got.Groups, []string{group}) {
		t.Errorf("User() = %+v, %v", got, err)
	}
	session := o.signIn(ann)
	if list, err := o.Sessions(t.Context(), admin, ann.ID); err != nil || len(list) != 1 || list[0].ID != session || list[0].App != auth.CommandLine || !list[0].Expires.Equal(noon.AddDate(0, 0, 1)) {
		t.Errorf("Sessions() = %+v, %v", list, err)
	}
	ended := func(what, session string) {
		t.Helper()
		if _, err := o.st.SessionOf(t.Context(), tenant, session); !errors.Is(err, fault.NotFound) {
			t.Errorf("%s: the session: %v", what, err)
		}
	}
	if got := step("disable", audit.ActDisableUser, []string{"disabled"}, func() (access.User, error) { return o.DisableUser(t.Context(), admin, ann.ID) }); !got.Disabled {
		t.Errorf("DisableUser() = %+v", got)
	}
	ended("disabled", session)
	if got := step("enable", audit.ActEnableUser, []string{"disabled"}, func() (access.User, error) { return o.EnableUser(t.Context(), admin, ann.ID) }); got.Disabled {
		t.Errorf("EnableUser() = %+v", got)
	}
	ended("enabled again", session)

	must(t, o.st.SetCredential(t.Context(), tenant, ann.ID, auth.Credential{Password: "x", TOTP: []byte{1}, Step: 7, Recovery: [][32]byte{{1}}}))
	session = o.signIn(ann)
	var initial *credential.Clear
	step("reset the password", audit.ActResetPassword, []string{"password"}, func() (u access.User, err error) {
		u, initial, err = o.ResetPassword(t.Context(), admin, ann.ID, as(""))
		return u, err
	})
	ended("password reset", session)
	c, err := o.st.Credential(t.Context(), tenant, ann.ID)
	if err != nil || c.Password == "x" || !c.MustChange || c.TOTP == nil || initial == nil {
		t.Errorf("credential %+v, %v", c, err)
	}
	step("reset one-time codes", audit.ActResetTOTP, []string{"totp"}, func() (access.User, error) { return o.ResetTOTP(t.Context(), admin, ann.ID) })
	if after, err := o.st.Credential(t.Context(), tenant, ann.ID); err != nil || after.TOTP != nil || after.Step != 0 || after.Recovery != nil || after.Password != c.Password {
		t.Errorf("credential %+v, %v", after, err)
	}
	session = o.signIn(ann)
	step("revoke sessions", audit.ActRevokeSessions, nil, func() (access.User, error) { return o.RevokeSessions(t.Context(), admin, ann.ID) })
	ended("revoked", session)
}

func TestUsersAreListedInParts(t *testing.T) {
	o := newOffice(t)
	group := o.group("Odd")
	var all, odd []string
	for i := range 7 {
		p := o.user(fmt.Sprintf("user%d@contoso.example", 6-i))
		all = append(all, p.Principal)
		if i%2 == 1 {
			_, err := o.AddMember(t.Context(), admin, group, p.Principal)
			must(t, err)
			odd = append(odd, p.Principal)
		}
	}
	slices.Reverse(all)
	slices.Reverse(odd)
	for what, list := range map[string]func(access.Paging) (access.UserPage, error){
		"users":   func(p access.Paging) (access.UserPage, error) { return o.Users(t.Context(), admin, as(p)) },
		"members": func(p access.Paging) (access.UserPage, error) { return o.Members(t.Context(), admin, group, as(p)) },
	} {
		want := map[string][]string{"users": all, "members": odd}[what]
		for top := range 8 {
			var got []string
			for after, parts := "", 0; ; parts++ {
				page, err := list(access.Paging{After: after, Top: top})
				if err != nil || parts > len(all) {
					t.Fatalf("%s by %d: %v, %d parts", what, top, err, parts)
				}
				for _, u := range page.Users {
					got = append(got, u.Principal)
					if in := slices.Contains(u.Groups, group); in != slices.Contains(odd, u.Principal) {
						t.Errorf("%s is in %v", u.Principal, u.Groups)
					}
				}
				if after = page.Next; after == "" {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s by %d: %v, want %v", what, top, got, want)
			}
		}
		if _, err := list(access.Paging{Top: access.MaxPage + 1}); !errors.Is(err, fault.InvalidInput) {
			t.Errorf("%s, over the bound: %v", what, err)
		}
	}
}

func TestFirstAdministratorGetsAUserGroup(t *testing.T) {
	o := newOffice(t)
	first, _, err := o.CreateUser(t.Context(), admin, as(access.NewUser{Principal: "ann@contoso.example", Administrator: true}))
	must(t, err)
	second, _, err := o.CreateUser(t.Context(), admin, as(access.NewUser{Principal: "bob@contoso.example", Administrator: true}))
	must(t, err)
	groups, err := o.UserGroups(t.Context(), admin)
	if err != nil || len(groups) != 1 || groups[0].Name != "Administrators" {
		t.Fatalf("UserGroups() = %+v, %v", groups, err)
	}
	for _, u := range []access.User{first, second} {
		if !u.Administrator || !slices.Equal(u.Groups, []string{groups[0].ID}) || !o.rights(u.ID).Administrates() {
			t.Errorf("%+v", u)
		}
	}
	if _, err := o.DeleteUserGroup(t.Context(), admin, groups[0].ID); !errors.Is(err, fault.BadRequest) || !strings.Contains(err.Error(), "the role Administrator") {
		t.Errorf("delete the group of administrators: %v", err)
	}
}

func TestPrincipals(t *testing.T) {
	for name, want := range map[string]string{
		"ann@contoso.example": "ann@contoso.example", "Ann.O'Lee+x@CONTOSO": "ann.o'lee+x@contoso", "a@b": "a@b", "a_b#ext#@x.onmicrosoft.com": "a_b#ext#@x.onmicrosoft.com",
		strings.Repeat("a", 64) + "@" + strings.Repeat("b.", 94) + "c": strings.Repeat("a", 64) + "@" + strings.Repeat("b.", 94) + "c",
	} {
		if got, err := access.Principal(name); err != nil || got != want {
			t.Errorf("Principal(%q) = %q, %v", name, got, err)
		}
	}
	for _, name := range []string{
		"", "ann", "@contoso", "ann@", "a@b@c", ".a@b", "a.@b", "a..b@c", "a b@c", "a@b c", "ä@b", "a@ä", "a/b@c", "a%@b", "a?@b", "a\x00@b", "a@b\n", "<a@b>",
		strings.Repeat("a", 65) + "@b", "a@" + strings.Repeat("b.", 127) + "c",
	} {
		if _, err := access.Principal(name); !errors.Is(err, fault.InvalidInput) && !errors.Is(err, fault.MissingParameter) {
			t.Errorf("Principal(%q): %v", name, err)
		}
	}
}

func FuzzPrincipal(f *testing.F) {
	f.Add("Ann@contoso.example")
	f.Add("a@b@c")
	f.Fuzz(func(t *testing.T, name string) {
		got, err := access.Principal(name)
		if err != nil {
			return
		}
		if again, err := access.Principal(got); err != nil || again != got {
			t.Errorf("Principal(%q) = %q, of which it is %q, %v", name, got, again, err)
		}
		if len(got) > access.MaxPrincipal || strings.Count(got, "@") != 1 || strings.ContainsAny(got, "/\\%?\" \n<>") || strings.ToLower(got) != got {
			t.Errorf("%q is taken", name)
		}
	})
}
