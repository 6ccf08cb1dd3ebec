package access

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/credential"
	"swab/internal/fault"
)

// Bounds of people.
const (
	MaxUsers     = 100_000 // of a tenant
	MaxPrincipal = 254     // characters
	MaxGroupsOf  = 200     // user groups of one person: they stand in each of their tokens
	MaxPage      = 1000    // of a list that goes on
	MaxSessions  = 1000    // of a list
)

// User is a person with what follows from their user groups.
type User struct {
	auth.Person
	Administrator bool // has the built-in role
}

// NewUser is a person to be made.
type NewUser struct {
	Principal     string // user principal name, in any case
	Name          string // to show; may be empty
	Groups        []string
	Administrator bool   // is to have the built-in role as well
	Password      string // "": one is made. Either has to be changed at the first sign-in
}

// UserChange is what is to become of a person; nil: as it was.
type UserChange struct {
	Principal *string
	Name      *string
	Groups    *[]string
}

// Paging says which part of a list is asked for.
type Paging struct {
	After string // the last one of the part before; "" for the first part
	Top   int    // from 1 to MaxPage; 0: MaxPage
}

// UserPage is a part of a list of users, in the order of their principals.
type UserPage struct {
	Users []User
	Next  string // After of the next part; "" at the end
}

// Session is a sign-in of a person that has not ended.
type Session struct {
	ID      string
	App     string    // client id of the application; "" for the browser's own
	Methods []string  // how they proved themselves: pwd, otp
	Proved  time.Time // when they did
	Created time.Time
	Used    time.Time // last
	Expires time.Time
	Address string
	Agent   string // what the browser or program calls itself
}

// Hasher makes what is kept of passwords; *credential.Hasher satisfies it.
type Hasher interface {
	Hash(ctx context.Context, password string) (phc string, err error)
}

// principalForm is a user principal name in lower case: what Entra ID takes.
var principalForm = regexp.MustCompile(`^[a-z0-9!#'+^_~-]+(\.[a-z0-9!#'+^_~-]+)*$`)

// Principal is a user principal name in the one form in which it is kept, or
// what is wrong with it.
func Principal(name string) (string, error) {
	if name == "" {
		return "", fault.MissingParameter.Errorf(nil, "principal is missing")
	}
	folded := strings.ToLower(name)
	local, domain, _ := strings.Cut(folded, "@")
	if len(name) > MaxPrincipal || len(local) > 64 || !principalForm.MatchString(local) || !nameForm.MatchString(domain) {
		return "", fault.InvalidInput.Errorf(nil, "principal is not of the form ann@contoso.example, of at most %d characters: %s", MaxPrincipal, audit.Clip(name))
	}
	return folded, nil
}

// Users returns users of the tenant in the order of their principals, also those
// that are disabled.
func (r *Register) Users(ctx context.Context, who auth.Caller, read func() (Paging, error)) (UserPage, error) {
	if err := r.permit(ctx, who, audit.ActReadUser, who.Tenant, auth.AdministerAccess); err != nil {
		return UserPage{}, err
	}
	return r.people(ctx, who, audit.ActReadUser, "", read)
}

// people are those in a user group; "" for all.
func (r *Register) people(ctx context.Context, who auth.Caller, act audit.Act, group string, read func() (Paging, error)) (UserPage, error) {
	asked, err := read()
	if err == nil && (asked.Top < 0 || asked.Top > MaxPage) {
		err = fault.InvalidInput.Errorf(nil, "top is not from 1 to %d", MaxPage)
	}
	if err != nil {
		object := who.Tenant
		if group != "" {
			object = group
		}
		return UserPage{}, r.refuse(ctx, who, act, object, err)
	}
	if asked.Top == 0 {
		asked.Top = MaxPage
	}
	policy, err := r.Records.Policy(ctx, who.Tenant)
	if err != nil {
		return UserPage{}, err
	}
	list, err := r.Records.People(ctx, who.Tenant, group, strings.ToLower(asked.After), asked.Top+1)
	if err != nil {
		return UserPage{}, err
	}
	page := UserPage{Users: make([]User, min(len(list), asked.Top))}
	for i := range page.Users {
		page.Users[i] = userOf(policy, list[i])
	}
	if len(list) > asked.Top {
		page.Next = list[asked.Top-1].Principal
	}
	return page, nil
}

func userOf(policy *auth.Policy, p auth.Person) User {
	builtIn := policy.Roles[0]
	return User{p, slices.ContainsFunc(builtIn.Groups, func(id string) bool { return slices.Contains(p.Groups, id) })}
}

// User returns one user, by the id or by the user principal name.
func (r *Register) User(ctx context.Context, who auth.Caller, name string) (User, error) {
	p, err := r.person(ctx, who, audit.ActReadUser, name)
	if err != nil {
		return User{}, err
	}
	policy, err := r.Records.Policy(ctx, who.Tenant)
	return userOf(policy, p), err
}

// person is one person, for a caller who administers.
func (r *Register) person(ctx context.Context, who auth.Caller, act audit.Act, name string) (auth.Person, error) {
	if err := r.permit(ctx, who, act, userObject(who, name), auth.AdministerAccess); err != nil {
		return auth.Person{}, err
	}
	err := named("User", name)
	var p auth.Person
	if err == nil {
		p, err = r.Records.PersonNamed(ctx, who.Tenant, name)
	}
	if err != nil {
		return auth.Person{}, r.refuse(ctx, who, act, userObject(who, name), err)
	}
	return p, nil
}

// userObject is what a refusal says it was about: a user's id, or the tenant
// where a user principal name was asked for. That is a person's name, and devices
// see what stands there.
func userObject(who auth.Caller, name string) string {
	if strings.Contains(name, "@") {
		return who.Tenant
	}
	return name
}

// CreateUser makes a user. Where no password was given the one that was made is
// told here, and never again.
func (r *Register) CreateUser(ctx context.Context, who auth.Caller, read func() (NewUser, error)) (User, *credential.Clear, error) {
	if err := r.permit(ctx, who, audit.ActCreateUser, who.Tenant, auth.AdministerAccess); err != nil {
		return User{}, nil, err
	}
	n, err := read()
	if err == nil {
		n.Principal, err = Principal(n.Principal)
	}
	if err == nil {
		err = title("name", n.Name, false)
	}
	var c auth.Credential
	var made *credential.Clear
	if err == nil {
		c, made, err = r.password(ctx, n.Password, n.Principal)
	}
	if err != nil {
		return User{}, nil, r.refuse(ctx, who, audit.ActCreateUser, who.Tenant, err)
	}
	p := auth.Person{Tenant: who.Tenant, ID: uuid.NewString(), Principal: n.Principal, Name: n.Name, Created: r.now()}
	var user User
	err = r.amend(ctx, who, auth.AdministerAccess, audit.ActCreateUser, who.Tenant, func(ctx context.Context, a *amendment) error {
		if count, err := a.People(ctx); err != nil {
			return err
		} else if count >= MaxUsers {
			return fault.InvalidInput.Errorf(nil, "The tenant has %d users already", MaxUsers)
		}
		groups := n.Groups
		if n.Administrator {
			id, err := r.administrators(ctx, a)
			if err != nil {
				return err
			}
			groups = append(slices.Clone(groups), id)
		}
		if p.Groups, err = a.groups(ctx, groups, MaxGroupsOf); err != nil {
			return err
		}
		policy, err := a.Policy(ctx)
		if err != nil {
			return err
		}
		user = userOf(policy, p)
		if err := a.mayTouch(policy.Rights(p.Groups)); err != nil {
			return err
		}
		if err := a.AddPerson(ctx, p, c); err != nil {
			return err
		}
		changes := personChanges(auth.Person{}, p)
		changes.AddSecret("password")
		return a.Record(ctx, r.changed(who, audit.ActCreateUser, p.ID, changes))
	})
	if err != nil {
		return User{}, nil, err
	}
	return user, made, nil
}

// administrators is the first user group of the built-in role, which is made
// where the role has none.
func (r *Register) administrators(ctx context.Context, a *amendment) (string, error) {
	role := a.policy.Roles[0]
	if len(role.Groups) > 0 {
		return role.Groups[0], nil
	}
	if err := a.mayGrant(role.Permissions); err != nil {
		return "", err
	}
	g := auth.UserGroup{Tenant: a.who.Tenant, ID: uuid.NewString(), Name: "Administrators", Description: "Holds the built-in role", Created: r.now()}
	if err := a.AddUserGroup(ctx, g); err != nil {
		return "", err
	}
	was := role
	role.Groups = []string{g.ID}
	if err := a.ChangeRole(ctx, role); err != nil {
		return "", err
	}
	if err := a.Record(ctx, r.changed(a.who, audit.ActCreateUserGroup, g.ID, groupChanges(auth.UserGroup{}, g))); err != nil {
		return "", err
	}
	return g.ID, a.Record(ctx, r.changed(a.who, audit.ActChangeRole, role.ID, roleChanges(was, role)))
}

// password is what is kept of a given password, or of one that is made, which
// somebody else than the user knows.
func (r *Register) password(ctx context.Context, given, principal string) (c auth.Credential, made *credential.Clear, err error) {
	c.Changed = r.now()
	c.MustChange = true
	if given == "" {
		made = new(credential.NewPassword())
		given = made.Reveal()
	} else if err := credential.CheckPassword(given, principal); err != nil {
		return c, nil, err
	}
	c.Password, err = r.Hasher.Hash(ctx, given)
	return c, made, err
}

// changed is the entry of a deed with what it changed.
func (r *Register) changed(who auth.Caller, act audit.Act, object string, changes audit.Changes) audit.Entry {
	return audit.NewEntry(r.Now(), audit.Leaf{Act: act, Object: object, Result: audit.Done}, who.Hidden(changes.String()))
}

func personChanges(was, is auth.Person) (c audit.Changes) {
	c.Add("principal", was.Principal, is.Principal)
	c.Add("name", was.Name, is.Name)
	c.AddList("groups", was.Groups, is.Groups)
	return c
}

// ChangeUser changes what a user is called and which user groups they are in.
func (r *Register) ChangeUser(ctx context.Context, who auth.Caller, name string, read func() (UserChange, error)) (User, error) {
	return r.amendUser(ctx, who, audit.ActChangeUser, name, func(auth.Person) (userChange, error) {
		n, err := read()
		if err == nil && n.Principal != nil {
			*n.Principal, err = Principal(*n.Principal)
		}
		if err == nil && n.Name != nil {
			err = title("name", *n.Name, false)
		}
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, a *amendment, p auth.Person) (_ auth.Person, c audit.Changes, _ string, err error) {
			was := p
			if n.Principal != nil {
				p.Principal = *n.Principal
			}
			if a.bound && p.ID == a.who.ID && p.Principal != was.Principal {
				return p, c, "", fault.DisallowedOperation.Errorf(nil, "Nobody gives themselves another principal but administrators: ask one")
			}
			if n.Name != nil {
				p.Name = *n.Name
			}
			if n.Groups != nil {
				if p.Groups, err = a.groups(ctx, *n.Groups, MaxGroupsOf); err != nil {
					return p, c, "", err
				}
			}
			if c = personChanges(was, p); c.Empty() {
				return p, c, "", errUnchanged
			}
			return p, c, "", a.ChangePerson(ctx, p)
		}, nil
	})
}

// userChange changes a person within an amendment. It returns them as they are
// then, and what stands in the entry.
type userChange func(ctx context.Context, a *amendment, p auth.Person) (after auth.Person, c audit.Changes, detail string, err error)

// errUnchanged ends a change that changes nothing, and so is no entry and no
// mistake.
var errUnchanged = errors.New("nothing changed")

// amendUser changes one user by what read returns, which is asked for when the
// user is known.
func (r *Register) amendUser(ctx context.Context, who auth.Caller, act audit.Act, name string, read func(known auth.Person) (userChange, error)) (User, error) {
	known, err := r.person(ctx, who, act, name)
	if err != nil {
		return User{}, err
	}
	f, err := read(known)
	if err != nil {
		return User{}, r.refuse(ctx, who, act, known.ID, err)
	}
	var user User
	err = r.amend(ctx, who, auth.AdministerAccess, act, known.ID, func(ctx context.Context, a *amendment) error {
		was, err := a.Person(ctx, known.ID)
		if err != nil {
			return err
		}
		is, changes, detail, err := f(ctx, a, was)
		if errors.Is(err, errUnchanged) {
			user = userOf(a.policy, is)
			return a.mayTouch(a.policy.Rights(was.Groups))
		}
		if err != nil {
			return err
		}
		if err := a.mayTouch(a.policy.Rights(was.Groups), a.policy.Rights(is.Groups)); err != nil {
			return err
		}
		user = userOf(a.policy, is)
		e := r.changed(who, act, is.ID, changes)
		e.Leaf.Detail = detail
		return a.Record(ctx, e)
	})
	return user, err
}

// simply is for what takes no body.
func simply(f userChange) func(auth.Person) (userChange, error) {
	return func(auth.Person) (userChange, error) { return f, nil }
}

// DisableUser shuts a user out, and ends their sessions: they get no token any
// more, and those that are out are worth nothing. A user is never deleted, for
// the audit log speaks of them. The last administrator stays.
func (r *Register) DisableUser(ctx context.Context, who auth.Caller, name string) (User, error) {
	return r.amendUser(ctx, who, audit.ActDisableUser, name, simply(func(ctx context.Context, a *amendment, p auth.Person) (auth.Person, audit.Changes, string, error) {
		return r.setDisabled(ctx, a, p, true)
	}))
}

// EnableUser lets a user sign in again.
func (r *Register) EnableUser(ctx context.Context, who auth.Caller, name string) (User, error) {
	return r.amendUser(ctx, who, audit.ActEnableUser, name, simply(func(ctx context.Context, a *amendment, p auth.Person) (auth.Person, audit.Changes, string, error) {
		return r.setDisabled(ctx, a, p, false)
	}))
}

func (r *Register) setDisabled(ctx context.Context, a *amendment, p auth.Person, disabled bool) (_ auth.Person, c audit.Changes, detail string, err error) {
	if p.Disabled == disabled {
		return p, c, "", errUnchanged
	}
	c.Add("disabled", strconv.FormatBool(p.Disabled), strconv.FormatBool(disabled))
	p.Disabled = disabled
	if disabled {
		_, err = a.EndSessions(ctx, p.ID)
	}
	if err == nil {
		err = a.ChangePerson(ctx, p)
	}
	return p, c, "", err
}

// notOneself refuses a person who would reset what they prove themselves by: that is
// done where it is asked for first, on the account page.
func notOneself(who auth.Caller, p auth.Person) error {
	if who.Kind == auth.User && who.ID == p.ID {
		return fault.DisallowedOperation.Errorf(nil, "Your own password and two-step verification you change on your account page, which asks for them first")
	}
	return nil
}

// ResetPassword gives another user another password, which they change at their
// next sign-in, and ends their sessions: whoever knew the old one may be in one of
// them. Where none is given the one that was made is told here, and never again.
func (r *Register) ResetPassword(ctx context.Context, who auth.Caller, name string, read func() (password string, err error)) (User, *credential.Clear, error) {
	var made *credential.Clear
	user, err := r.amendUser(ctx, who, audit.ActResetPassword, name, func(known auth.Person) (userChange, error) {
		if err := notOneself(who, known); err != nil {
			return nil, err
		}
		given, err := read()
		if err != nil {
			return nil, err
		}
		var fresh auth.Credential
		if fresh, made, err = r.password(ctx, given, known.Principal); err != nil {
			return nil, err
		}
		return func(ctx context.Context, a *amendment, p auth.Person) (_ auth.Person, changes audit.Changes, _ string, err error) {
			c, err := a.Credential(ctx, p.ID)
			if err != nil {
				return p, changes, "", err
			}
			c.Password, c.Changed, c.MustChange = fresh.Password, fresh.Changed, fresh.MustChange
			if err := a.SetCredential(ctx, p.ID, c); err != nil {
				return p, changes, "", err
			}
			changes.AddSecret("password")
			_, err = a.EndSessions(ctx, p.ID)
			return p, changes, "", err
		}, nil
	})
	if err != nil {
		return User{}, nil, err
	}
	return user, made, nil
}

// ResetTOTP takes another user's one-time codes and recovery codes away: they set
// up others at the next sign-in.
func (r *Register) ResetTOTP(ctx context.Context, who auth.Caller, name string) (User, error) {
	return r.amendUser(ctx, who, audit.ActResetTOTP, name, simply(func(ctx context.Context, a *amendment, p auth.Person) (auth.Person, audit.Changes, string, error) {
		var changes audit.Changes
		if err := notOneself(who, p); err != nil {
			return p, changes, "", err
		}
		c, err := a.Credential(ctx, p.ID)
		if err != nil {
			return p, changes, "", err
		}
		if c.TOTP == nil && len(c.Recovery) == 0 {
			return p, changes, "", errUnchanged
		}
		c.TOTP, c.Step, c.Recovery = nil, 0, nil
		changes.AddSecret("totp")
		return p, changes, "", a.SetCredential(ctx, p.ID, c)
	}))
}

// Sessions returns the sign-ins of a user that have not ended, the newest first.
func (r *Register) Sessions(ctx context.Context, who auth.Caller, name string) ([]Session, error) {
	p, err := r.person(ctx, who, audit.ActReadUser, name)
	if err != nil {
		return nil, err
	}
	return r.Records.SessionsOf(ctx, who.Tenant, p.ID)
}

// RevokeSessions ends all sessions of a user, who has to sign in again
// everywhere; tokens that are out are worth nothing.
func (r *Register) RevokeSessions(ctx context.Context, who auth.Caller, name string) (User, error) {
	return r.amendUser(ctx, who, audit.ActRevokeSessions, name, simply(func(ctx context.Context, a *amendment, p auth.Person) (auth.Person, audit.Changes, string, error) {
		ended, err := a.EndSessions(ctx, p.ID)
		return p, audit.Changes{}, strconv.Itoa(ended), err
	}))
}
