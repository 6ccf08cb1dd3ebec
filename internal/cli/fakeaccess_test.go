package cli_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"swab/internal/canon"
)

// directory is who may do what, in the forms of the API. It refuses what the
// scripts need refused: names that are taken, user groups that are in use or not
// there, and to lose the last administrator.
type directory struct {
	users, groups, roles, issuers []thing
	deviceGroups                  []thing // by rank, without the default group
	defaultGroup                  thing
}

const (
	administrator = "00000000-0000-4000-8000-000000000001" // the built-in role
	maxUsersPage  = 2                                      // so that a reader of a list has to go on
)

func same(a any, b string) bool { return strings.EqualFold(fmt.Sprint(a), b) }

func named(things []thing, field, name string) int {
	return slices.IndexFunc(things, func(one thing) bool { return same(one[field], name) })
}

func (d *directory) user(name string) thing {
	for _, field := range []string{"id", "principal"} {
		if at := named(d.users, field, name); at >= 0 {
			return d.users[at]
		}
	}
	return nil
}

// shownUser is a user with what follows from the roles.
func (d *directory) shownUser(u thing) thing {
	u = maps.Clone(u)
	u["administrator"] = slices.ContainsFunc(list(u["groups"]), func(id any) bool { return slices.Contains(list(d.roles[0]["userGroups"]), id) })
	return u
}

// administered counts the users who administer and are not disabled.
func (d *directory) administered() (n int) {
	for _, u := range d.users {
		if u["disabled"] == false && d.shownUser(u)["administrator"] == true {
			n++
		}
	}
	return n
}

// guarded makes a change to a user, unless the last administrator would be lost.
func (d *directory) guarded(w http.ResponseWriter, u thing, change func()) any {
	was, before := maps.Clone(u), d.administered()
	change()
	if before > 0 && d.administered() == 0 {
		maps.Copy(u, was)
		refuse(w, 400, "DisallowedOperation", "Nobody would be left who holds the role Administrator")
		return nil
	}
	return d.shownUser(u)
}

// uses says what names a user group.
func (d *directory) uses(id string) string {
	for kind, things := range map[string][]thing{"role": d.roles, "device group": append([]thing{d.defaultGroup}, d.deviceGroups...)} {
		for _, one := range things {
			if slices.Contains(list(one["userGroups"]), any(id)) {
				return fmt.Sprintf("the %s %s", kind, one["name"])
			}
		}
	}
	return ""
}

// people adds the routes of users, user groups, roles, device groups and issuers.
func (s *service) people(handle route) {
	d := &s.office.directory
	d.roles = []thing{{"id": administrator, "name": "Administrator", "description": "Holds all permissions, on all devices", "permissions": []any{"View data"}, "userGroups": []any{}, "builtIn": true}}
	d.defaultGroup = thing{"id": 0, "name": "Ungrouped devices (default)", "description": "", "rank": nil, "rule": []any{}, "userGroups": []any{}}
	s.userRoutes(handle, d)
	s.groupRoutes(handle, d)
	s.roleRoutes(handle, d)
	s.deviceGroupRoutes(handle, d)
	s.issuerRoutes(handle, d)
}

func (s *service) userRoutes(handle route, d *directory) {
	page := func(r *http.Request, in func(thing) bool) any {
		var rows []thing
		var next any
		users := slices.SortedFunc(slices.Values(d.users), func(a, b thing) int { return strings.Compare(a["principal"].(string), b["principal"].(string)) })
		for _, u := range users {
			if u["principal"].(string) <= r.FormValue("after") || !in(u) {
				continue
			}
			if len(rows) == maxUsersPage {
				next = rows[len(rows)-1]["principal"]
				break
			}
			rows = append(rows, d.shownUser(u))
		}
		return thing{"value": append([]thing{}, rows...), "next": next}
	}
	handle("GET /api/admin/v1/users", func(_ http.ResponseWriter, r *http.Request, _ thing) any {
		return page(r, func(thing) bool { return true })
	})
	handle("GET /api/admin/v1/userGroups/{group}/members", func(_ http.ResponseWriter, r *http.Request, _ thing) any {
		return page(r, func(u thing) bool { return slices.Contains(list(u["groups"]), any(r.PathValue("group"))) })
	})
	handle("POST /api/admin/v1/users", func(w http.ResponseWriter, _ *http.Request, in thing) any {
		principal := strings.ToLower(in["principal"].(string))
		if d.user(principal) != nil || strings.HasPrefix(principal, "taken@") {
			refuse(w, 400, "InvalidInput", "User "+principal+" exists already")
			return nil
		}
		name, _ := in["name"].(string)
		u := thing{"id": s.office.id('b'), "principal": principal, "name": name, "groups": list(in["groups"]), "disabled": false, "created": canon.FormatTime(epoch)}
		if in["administrator"] == true {
			u["groups"] = append(list(u["groups"]), d.administrators(&s.office))
		}
		d.users = append(d.users, u)
		w.WriteHeader(http.StatusCreated)
		return withPassword(d.shownUser(u), in)
	})
	for route, do := range map[string]func(w http.ResponseWriter, u, in thing) any{
		"GET /api/admin/v1/users/{user}":            func(_ http.ResponseWriter, u, _ thing) any { return d.shownUser(u) },
		"PATCH /api/admin/v1/users/{user}":          func(_ http.ResponseWriter, u, in thing) any { maps.Copy(u, in); return d.shownUser(u) },
		"POST /api/admin/v1/users/{user}/disable":   func(w http.ResponseWriter, u, _ thing) any { return d.guarded(w, u, func() { u["disabled"] = true }) },
		"POST /api/admin/v1/users/{user}/enable":    func(_ http.ResponseWriter, u, _ thing) any { u["disabled"] = false; return d.shownUser(u) },
		"POST /api/admin/v1/users/{user}/resetTotp": func(_ http.ResponseWriter, u, _ thing) any { return d.shownUser(u) },
		"POST /api/admin/v1/users/{user}/resetPassword": func(_ http.ResponseWriter, u, in thing) any {
			return withPassword(d.shownUser(u), in)
		},
		"POST /api/admin/v1/users/{user}/revokeSessions": func(_ http.ResponseWriter, u, _ thing) any { u["signedOut"] = true; return d.shownUser(u) },
		"GET /api/admin/v1/users/{user}/sessions": func(_ http.ResponseWriter, u, _ thing) any {
			if u["signedOut"] == true {
				return thing{"value": []any{}}
			}
			session := func(app any) thing {
				return thing{
					"id": secretID, "app": app, "methods": []any{"pwd", "otp"}, "proved": canon.FormatTime(epoch), "created": canon.FormatTime(epoch),
					"used": canon.FormatTime(epoch), "expires": canon.FormatTime(epoch.AddDate(0, 0, 1)), "address": "192.0.2.7", "agent": hostile,
				}
			}
			return thing{"value": []any{session("00000000-0000-4000-8000-0000000000c1"), session(nil)}}
		},
	} {
		handle(route, func(w http.ResponseWriter, r *http.Request, in thing) any {
			u := d.user(r.PathValue("user"))
			if u == nil {
				refuse(w, 404, "ResourceNotFound", "User "+r.PathValue("user")+" was not found")
				return nil
			}
			return do(w, u, in)
		})
	}
}

// withPassword is a user with the password that was made, where none was given.
func withPassword(u, in thing) thing {
	u["initialPassword"] = "init1al-" + u["id"].(string)[33:]
	if given, _ := in["password"].(string); given != "" {
		u["initialPassword"], u["name"] = nil, "known by "+given
	}
	return u
}

// administrators is the user group of the built-in role, which is made where it
// has none.
func (d *directory) administrators(o *office) any {
	if groups := list(d.roles[0]["userGroups"]); len(groups) > 0 {
		return groups[0]
	}
	g := thing{"id": o.id('c'), "name": "Administrators", "description": "Holds the built-in role", "created": canon.FormatTime(epoch)}
	d.groups = append(d.groups, g)
	d.roles[0]["userGroups"] = []any{g["id"]}
	return g["id"]
}

func (s *service) groupRoutes(handle route, d *directory) {
	handle("GET /api/admin/v1/userGroups", func(http.ResponseWriter, *http.Request, thing) any {
		return thing{"value": append([]thing{}, d.groups...)}
	})
	handle("POST /api/admin/v1/userGroups", func(w http.ResponseWriter, _ *http.Request, in thing) any {
		name, _ := in["name"].(string)
		if named(d.groups, "name", name) >= 0 {
			refuse(w, 400, "InvalidInput", "User group "+name+" exists already")
			return nil
		}
		description, _ := in["description"].(string)
		g := thing{"id": s.office.id('c'), "name": name, "description": description, "created": canon.FormatTime(epoch)}
		d.groups = append(d.groups, g)
		w.WriteHeader(http.StatusCreated)
		return g
	})
	each := func(pattern string, do func(w http.ResponseWriter, r *http.Request, at int, in thing) any) {
		handle(pattern, func(w http.ResponseWriter, r *http.Request, in thing) any {
			at := named(d.groups, "id", r.PathValue("group"))
			if at < 0 {
				refuse(w, 404, "ResourceNotFound", "User group "+r.PathValue("group")+" was not found")
				return nil
			}
			return do(w, r, at, in)
		})
	}
	each("PATCH /api/admin/v1/userGroups/{group}", func(_ http.ResponseWriter, _ *http.Request, at int, in thing) any {
		maps.Copy(d.groups[at], in)
		return d.groups[at]
	})
	each("DELETE /api/admin/v1/userGroups/{group}", func(w http.ResponseWriter, r *http.Request, at int, _ thing) any {
		id := r.PathValue("group")
		if by := d.uses(id); by != "" {
			refuse(w, 400, "BadRequest", "User group "+id+" is in use by "+by+": take it out there first")
			return nil
		}
		g := d.groups[at]
		d.groups = slices.Delete(d.groups, at, at+1)
		for _, u := range d.users {
			u["groups"] = slices.DeleteFunc(list(u["groups"]), func(one any) bool { return one == any(id) })
		}
		return g
	})
	for method, in := range map[string]bool{"PUT": true, "DELETE": false} {
		each(method+" /api/admin/v1/userGroups/{group}/members/{user}", func(w http.ResponseWriter, r *http.Request, _ int, _ thing) any {
			u := d.user(r.PathValue("user"))
			if u == nil {
				refuse(w, 404, "ResourceNotFound", "User "+r.PathValue("user")+" was not found")
				return nil
			}
			return d.guarded(w, u, func() {
				left := slices.DeleteFunc(slices.Clone(list(u["groups"])), func(one any) bool { return one == any(r.PathValue("group")) })
				if in {
					left = append(left, r.PathValue("group"))
				}
				u["groups"] = left
			})
		})
	}
}

func (s *service) roleRoutes(handle route, d *directory) {
	handle("GET /api/admin/v1/roles", func(http.ResponseWriter, *http.Request, thing) any { return thing{"value": d.roles} })
	handle("POST /api/admin/v1/roles", func(w http.ResponseWriter, _ *http.Request, in thing) any {
		description, _ := in["description"].(string)
		if in["name"] == "Refused" {
			refuse(w, 403, "DisallowedOperation", "Somebody would be able to do more, and in all what you may not yourself: ask an administrator")
			return nil
		}
		if in["name"] == "Interrupted" {
			s.interrupt()
		}
		role := thing{"id": s.office.id('d'), "name": in["name"], "description": description, "permissions": list(in["permissions"]), "userGroups": list(in["userGroups"]), "builtIn": false}
		d.roles = append(d.roles, role)
		w.WriteHeader(http.StatusCreated)
		return role
	})
	handle("PATCH /api/admin/v1/roles/{role}", func(_ http.ResponseWriter, r *http.Request, in thing) any {
		role := d.roles[named(d.roles, "id", r.PathValue("role"))]
		maps.Copy(role, in)
		return role
	})
	handle("DELETE /api/admin/v1/roles/{role}", func(w http.ResponseWriter, r *http.Request, _ thing) any {
		at := named(d.roles, "id", r.PathValue("role"))
		role := d.roles[at]
		if role["builtIn"] == true {
			refuse(w, 400, "DisallowedOperation", "The role Administrator is built in: it can't be deleted")
			return nil
		}
		d.roles = slices.Delete(d.roles, at, at+1)
		return role
	})
}

func (s *service) deviceGroupRoutes(handle route, d *directory) {
	ranked := func() []thing {
		for i, g := range d.deviceGroups {
			g["rank"] = i + 1
		}
		return append(slices.Clone(d.deviceGroups), d.defaultGroup)
	}
	put := func(g thing, rank any) {
		at := len(d.deviceGroups)
		if n, ok := rank.(float64); ok && n > 0 {
			at = int(n) - 1
		}
		d.deviceGroups = slices.Insert(d.deviceGroups, at, g)
		ranked()
	}
	handle("GET /api/admin/v1/deviceGroups", func(http.ResponseWriter, *http.Request, thing) any { return thing{"value": ranked()} })
	handle("POST /api/admin/v1/deviceGroups", func(w http.ResponseWriter, _ *http.Request, in thing) any {
		description, _ := in["description"].(string)
		s.office.made++
		g := thing{"id": s.office.made, "name": in["name"], "description": description, "rule": list(in["rule"]), "userGroups": list(in["userGroups"])}
		put(g, in["rank"])
		w.WriteHeader(http.StatusCreated)
		return g
	})
	handle("POST /api/admin/v1/deviceGroups/preview", func(_ http.ResponseWriter, _ *http.Request, in thing) any {
		first := list(in["rule"])[0].(thing)
		if first["property"] == "domain" {
			return thing{"count": 0, "complete": true, "devices": []any{}}
		}
		return thing{"count": 1, "complete": first["property"] == "os", "devices": []any{thing{"id": deviceID(), "name": hostile, "osPlatform": "Debian", "tags": []any{"prod"}}}}
	})
	handle("PATCH /api/admin/v1/deviceGroups/{group}", func(_ http.ResponseWriter, r *http.Request, in thing) any {
		if r.PathValue("group") == "0" {
			maps.Copy(d.defaultGroup, in)
			return d.defaultGroup
		}
		at := named(d.deviceGroups, "id", r.PathValue("group"))
		g := d.deviceGroups[at]
		maps.Copy(g, in)
		if rank, ok := in["rank"]; ok {
			d.deviceGroups = slices.Delete(d.deviceGroups, at, at+1)
			put(g, rank)
		}
		ranked()
		return g
	})
	handle("DELETE /api/admin/v1/deviceGroups/{group}", func(_ http.ResponseWriter, r *http.Request, _ thing) any {
		at := named(d.deviceGroups, "id", r.PathValue("group"))
		g := d.deviceGroups[at]
		d.deviceGroups = slices.Delete(d.deviceGroups, at, at+1)
		return g
	})
}

func (s *service) issuerRoutes(handle route, d *directory) {
	handle("GET /api/admin/v1/issuers", func(http.ResponseWriter, *http.Request, thing) any {
		return thing{"value": append([]thing{}, d.issuers...)}
	})
	handle("POST /api/admin/v1/issuers", func(w http.ResponseWriter, _ *http.Request, in thing) any {
		i := thing{"id": s.office.id('e'), "created": canon.FormatTime(epoch), "revoked": false, "keys": nil, "groups": thing{}, "roles": thing{}, "networks": []any{}, "claims": thing{}}
		maps.Copy(i, in)
		d.issuers = append(d.issuers, i)
		w.WriteHeader(http.StatusCreated)
		return i
	})
	handle("PATCH /api/admin/v1/issuers/{issuer}", func(_ http.ResponseWriter, r *http.Request, in thing) any {
		i := d.issuers[named(d.issuers, "id", r.PathValue("issuer"))]
		maps.Copy(i, in)
		return i
	})
	handle("POST /api/admin/v1/issuers/{issuer}/revoke", func(_ http.ResponseWriter, r *http.Request, _ thing) any {
		i := d.issuers[named(d.issuers, "id", r.PathValue("issuer"))]
		i["revoked"] = true
		return i
	})
}
