package accessfile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"swab/internal/accessfile"
	"swab/internal/device"
)

var (
	texts = rapid.OneOf(
		rapid.SampledFrom([]string{
			"", "true", "null", "~", "- a", "a: b", "# c", "Tier 1", "0x10", "1e3", `"`, "'", `\`, "&a", "*a", "[a]", "{a}", "!x", "%x", "@a", "`", "é", "日本", "😀", "a #b", "a:", "=", "<<",
			"2026-01-01", "a  b", "?", "? a", "|", ">", "A, b", "y", "off",
		}),
		rapid.StringOfN(rapid.RuneFrom([]rune(`aZ9 :#-'"\[]{},&*!|>%@?é😀`)), 1, 12, -1),
	)
	named   = texts.Filter(func(s string) bool { return strings.TrimSpace(s) != "" })
	called  = rapid.OneOf(rapid.SampledFrom([]string{"Tier 1", "tier 1", "SOC", "soc", "A", "B", "C", "D", "E", "f"}), named) // of a few, so that two files have some in common
	values  = named.Filter(func(s string) bool { return strings.TrimSpace(s) == s })
	notes   = rapid.OneOf(texts, rapid.Just("two\nlines\tand a tab\n"))
	persons = []string{"ann@x.example", "bob@x.example", "o'neil@x.example", "eve+1@x.example"}
)

// some draws a part of a list, in any order.
func some(t *rapid.T, list []string, label string) []string {
	n := rapid.IntRange(0, len(list)).Draw(t, label)
	if n == 0 {
		return nil
	}
	return rapid.Permutation(list).Draw(t, label)[:n]
}

// distinct draws names, no two of which are the same.
func distinct(t *rapid.T, most int, label string) []string {
	return rapid.SliceOfNDistinct(called, 0, most, strings.ToLower).Draw(t, label)
}

// files are files that have all sections and name nothing that they lack, as an
// export is.
var files = rapid.Custom(func(t *rapid.T) accessfile.File {
	f := accessfile.File{
		UserGroups: []accessfile.UserGroup{}, Users: []accessfile.User{}, DeviceGroups: []accessfile.DeviceGroup{},
		Applications: []accessfile.Application{}, Issuers: []accessfile.Issuer{},
	}
	people := some(t, persons, "users")
	for _, p := range people {
		f.Users = append(f.Users, accessfile.User{Principal: p, Name: texts.Draw(t, "name"), Disabled: rapid.Bool().Draw(t, "disabled")})
	}
	groups := distinct(t, 4, "user groups")
	for _, name := range groups {
		f.UserGroups = append(f.UserGroups, accessfile.UserGroup{Name: name, Description: notes.Draw(t, "description"), Members: some(t, people, "members")})
	}
	f.Roles = []accessfile.Role{{Name: accessfile.BuiltIn, UserGroups: some(t, groups, "administrators")}}
	for _, name := range distinct(t, 3, "roles") {
		f.Roles = append(f.Roles, accessfile.Role{
			Name: name, Description: notes.Draw(t, "description"), Permissions: some(t, accessfile.Permissions, "permissions"), UserGroups: some(t, groups, "groups"),
		})
	}
	for _, name := range distinct(t, 6, "device groups") {
		g := accessfile.DeviceGroup{Name: name, Description: notes.Draw(t, "description"), UserGroups: some(t, groups, "groups")}
		for range rapid.IntRange(1, 2).Draw(t, "conditions") {
			g.Rule = append(g.Rule, device.Condition{
				Property: rapid.SampledFrom(device.Properties).Draw(t, "property"), Operator: rapid.SampledFrom(device.Operators).Draw(t, "operator"),
				Values: rapid.SliceOfNDistinct(values, 1, 3, rapid.ID).Draw(t, "values"),
			})
		}
		f.DeviceGroups = append(f.DeviceGroups, g)
	}
	f.DeviceGroups = append(f.DeviceGroups, accessfile.DeviceGroup{Name: device.DefaultGroupName, UserGroups: some(t, groups, "groups")})
	for _, id := range some(t, []string{"1", "2", "3"}, "applications") {
		f.Applications = append(f.Applications, accessfile.Application{
			Name: named.Draw(t, "name"), ClientID: id, Public: rapid.Bool().Draw(t, "public"), Redirects: some(t, []string{"https://a", "http://localhost"}, "redirects"),
			Scopes: some(t, accessfile.Scopes, "scopes"), Roles: some(t, accessfile.AppRoles, "roles"),
		})
	}
	for _, name := range some(t, []string{"Entra", "Keycloak"}, "issuers") {
		i := accessfile.Issuer{
			Name: name, URL: "https://" + name, Keys: texts.Draw(t, "keys"), Audiences: []string{"api://swab"},
			Claims: accessfile.Claims{Person: texts.Draw(t, "claim"), Scopes: texts.Draw(t, "claim")}, Networks: some(t, []string{"10.0.0.0/8", "fd00::/8"}, "networks"),
		}
		for _, g := range some(t, groups, "groups") {
			if i.Groups == nil {
				i.Groups = map[string]string{}
			}
			i.Groups[named.Draw(t, "theirs")] = g
		}
		f.Issuers = append(f.Issuers, i)
	}
	return f
})

func TestWhatIsExportedAndAppliedIsNoChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := files.Draw(t, "file")
		text := accessfile.Write(f)
		got, err := accessfile.Parse(text)
		if err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
		if again := accessfile.Write(got); string(again) != string(text) {
			t.Fatalf("written again (-first +second):\n%s", cmp.Diff(string(text), string(again)))
		}
		for _, have := range []accessfile.File{f, got} {
			if changes, err := accessfile.Diff(have, got, accessfile.Options{RevokeMissing: true}); err != nil || len(changes) > 0 {
				t.Fatalf("%v, changes:\n%s\nof:\n%s", err, lines(changes), text)
			}
		}
	})
}

// office is a tenant that does one change after another, and refuses as the server
// does: what names what is not there, and what goes while something names it.
type office struct{ accessfile.File }

func find[T any](list []T, name string, of func(T) string) int {
	return slices.IndexFunc(list, func(one T) bool { return strings.EqualFold(of(one), name) })
}

func userGroup(g accessfile.UserGroup) string     { return g.Name }
func user(u accessfile.User) string               { return u.Principal }
func role(r accessfile.Role) string               { return r.Name }
func deviceGroup(g accessfile.DeviceGroup) string { return g.Name }
func application(a accessfile.Application) string { return a.ClientID }
func issuer(i accessfile.Issuer) string           { return i.URL }

// named refuses groups that are not there.
func (o *office) named(groups []string) error {
	for _, g := range groups {
		if find(o.UserGroups, g, userGroup) < 0 {
			return fmt.Errorf("there is no user group %q", g)
		}
	}
	return nil
}

// put puts an entry of the wanted file in the place of the one that is there, or
// last where it is new.
func put[T any](verb accessfile.Verb, have *[]T, want []T, name string, of func(T) string) error {
	is, was := find(want, name, of), find(*have, name, of)
	switch {
	case is < 0:
		return fmt.Errorf("%q is not wanted", name)
	case verb == accessfile.Add && was < 0:
		*have = append(*have, want[is])
	case verb == accessfile.Alter && was >= 0:
		(*have)[was] = want[is]
	default:
		return fmt.Errorf("%q is there: %t", name, was >= 0)
	}
	return nil
}

func drop[T any](have *[]T, name string, of func(T) string) error {
	at := find(*have, name, of)
	if at < 0 {
		return fmt.Errorf("%q is not there", name)
	}
	*have = slices.Delete(*have, at, at+1)
	return nil
}

func (o *office) do(c accessfile.Change, want accessfile.File) error {
	gone := c.Verb == accessfile.Remove
	switch c.Kind {
	case accessfile.OfUserGroup:
		at := find(o.UserGroups, c.Name, userGroup)
		switch {
		case gone:
			for _, r := range o.Roles {
				if find(r.UserGroups, c.Name, func(s string) string { return s }) >= 0 {
					return fmt.Errorf("the role %q names it", r.Name)
				}
			}
			for _, g := range o.DeviceGroups {
				if find(g.UserGroups, c.Name, func(s string) string { return s }) >= 0 {
					return fmt.Errorf("the device group %q names it", g.Name)
				}
			}
			return drop(&o.UserGroups, c.Name, userGroup)
		case c.Join != nil:
			for _, p := range c.Join {
				if find(o.Users, p, user) < 0 {
					return fmt.Errorf("there is no user %q", p)
				}
			}
			o.UserGroups[at].Members = append(slices.Clone(o.UserGroups[at].Members), c.Join...)
			return nil
		case c.Leave != nil:
			o.UserGroups[at].Members = slices.DeleteFunc(slices.Clone(o.UserGroups[at].Members), func(p string) bool { return slices.Contains(c.Leave, p) })
			return nil
		}
		var members []string
		if at >= 0 {
			members = o.UserGroups[at].Members
		}
		err := put(c.Verb, &o.UserGroups, want.UserGroups, c.Name, userGroup)
		if at = find(o.UserGroups, c.Name, userGroup); err == nil {
			o.UserGroups[at].Members = members
		}
		return err
	case accessfile.OfUser:
		if gone {
			o.Users[find(o.Users, c.Name, user)].Disabled = true
			return nil
		}
		was := find(o.Users, c.Name, user)
		disabled := was >= 0 && o.Users[was].Disabled
		err := put(c.Verb, &o.Users, want.Users, c.Name, user)
		if at := find(o.Users, c.Name, user); err == nil && c.Verb == accessfile.Alter && o.Users[at].Disabled {
			o.Users[at].Disabled = disabled // that is a change of its own
		}
		return err
	case accessfile.OfRole:
		if gone {
			return drop(&o.Roles, c.Name, role)
		}
		if err := put(c.Verb, &o.Roles, want.Roles, c.Name, role); err != nil {
			return err
		}
		return o.named(o.Roles[find(o.Roles, c.Name, role)].UserGroups)
	case accessfile.OfDeviceGroup:
		if gone {
			return drop(&o.DeviceGroups, c.Name, deviceGroup)
		}
		if err := put(c.Verb, &o.DeviceGroups, want.DeviceGroups, c.Name, deviceGroup); err != nil {
			return err
		}
		at := find(o.DeviceGroups, c.Name, deviceGroup)
		g := o.DeviceGroups[at]
		if (c.Verb == accessfile.Add || c.Rank > 0) && (c.Rank < 1 || c.Rank >= len(o.DeviceGroups)) {
			return fmt.Errorf("rank %d of %d", c.Rank, len(o.DeviceGroups))
		}
		if c.Rank > 0 {
			o.DeviceGroups = slices.Insert(slices.Delete(o.DeviceGroups, at, at+1), c.Rank-1, g)
		}
		return o.named(g.UserGroups)
	case accessfile.OfApplication:
		if gone {
			return drop(&o.Applications, c.ID, application)
		}
		return put(c.Verb, &o.Applications, want.Applications, c.ID, application)
	case accessfile.OfIssuer:
		if gone {
			return drop(&o.Issuers, c.ID, issuer)
		}
		return put(c.Verb, &o.Issuers, want.Issuers, c.ID, issuer)
	}
	return fmt.Errorf("a change of no kind")
}

// Whatever there is and whatever is wanted: the changes can be done in their order,
// and then there is nothing more to do.
func TestChangesLeadToWhatIsWanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		have, want := files.Draw(t, "have"), files.Draw(t, "want")
		// An application gets its id from the server, so none that has one is new.
		want.Applications = slices.DeleteFunc(slices.Clone(want.Applications), func(a accessfile.Application) bool { return find(have.Applications, a.ClientID, application) < 0 })
		changes, err := accessfile.Diff(have, want, accessfile.Options{RevokeMissing: true})
		if err != nil {
			t.Fatal(err)
		}
		o := &office{have}
		o.UserGroups, o.Users, o.Roles, o.DeviceGroups = slices.Clone(have.UserGroups), slices.Clone(have.Users), slices.Clone(have.Roles), slices.Clone(have.DeviceGroups)
		o.Applications, o.Issuers = slices.Clone(have.Applications), slices.Clone(have.Issuers)
		left := false // something was taken away
		for _, c := range changes {
			if err := o.do(c, want); err != nil {
				t.Fatalf("%s: %v", c, err)
			}
			takes := c.Verb == accessfile.Remove || c.Leave != nil
			if left && !takes {
				t.Fatalf("%s comes after what takes away, in:\n%s", c, lines(changes))
			}
			left = left || takes
		}
		again, err := accessfile.Diff(o.File, want, accessfile.Options{RevokeMissing: true})
		if err != nil || len(again) > 0 {
			t.Fatalf("after all changes: %v,\n%safter\n%s", err, lines(again), lines(changes))
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	for _, s := range []string{"roles: [{name: A}]", "x: &a [b]\nroles: *a", "deviceGroups:\n- name: A\n  userGroups: []\n  rule: [{property: tag, operator: equals, values: [x]}]", "issuers: [{groups: {? a : b}}]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := accessfile.Parse(data)
		if err != nil {
			if len(err.Error()) > 64<<10 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
			return
		}
		text := accessfile.Write(file)
		again, err := accessfile.Parse(text)
		if err != nil && len(text) <= accessfile.MaxFile {
			t.Fatalf("%v in what was written of it:\n%s", err, text)
		}
		if err == nil && string(accessfile.Write(again)) != string(text) {
			t.Errorf("written again it is another file:\n%s", cmp.Diff(string(text), string(accessfile.Write(again))))
		}
	})
}
