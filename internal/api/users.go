package api

import (
	"context"
	"net/http"
	"strconv"

	"swab/internal/access"
	"swab/internal/auth"
	"swab/internal/credential"
	"swab/internal/fault"
)

// user is a person as administrators see them.
type user struct {
	ID            string   `json:"id"`
	Principal     string   `json:"principal"` // the user principal name, in lower case
	Name          string   `json:"name"`      // to show; may be ""
	Groups        []string `json:"groups"`    // ids of user groups
	Administrator bool     `json:"administrator"`
	Disabled      bool     `json:"disabled"`
	Created       *string  `json:"created"`
}

// madeUser is a user in the one answer that has the password that was made.
type madeUser struct {
	user
	InitialPassword *string `json:"initialPassword"` // null: one was given
}

// session is a sign-in of a user.
type session struct {
	ID      string   `json:"id"`
	App     *string  `json:"app"`     // client id of the application; null: the browser's own
	Methods []string `json:"methods"` // how the user proved who they are: pwd, otp
	Proved  *string  `json:"proved"`  // when they did
	Created *string  `json:"created"`
	Used    *string  `json:"used"` // last
	Expires *string  `json:"expires"`
	Address string   `json:"address"`
	Agent   string   `json:"agent"` // what the browser or program calls itself
}

// userPage is a part of a list of users.
type userPage struct {
	Value []user  `json:"value"`
	Next  *string `json:"next"` // what after has to be for the next part; null: there is none
}

func userOf(u access.User) user {
	return user{
		ID: u.ID, Principal: u.Principal, Name: u.Name, Groups: append([]string{}, u.Groups...), Administrator: u.Administrator,
		Disabled: u.Disabled, Created: moment(u.Created),
	}
}

func (a *API) users(ctx context.Context, c *call) (reply, error) {
	return usersOf(a.Register.Users(ctx, c.who, c.paging))
}

func (a *API) members(ctx context.Context, c *call) (reply, error) {
	return usersOf(a.Register.Members(ctx, c.who, c.id("userGroup"), c.paging))
}

func usersOf(page access.UserPage, err error) (reply, error) {
	if err != nil {
		return reply{}, err
	}
	shown := userPage{Value: []user{}, Next: given(page.Next)}
	for _, u := range page.Users {
		shown.Value = append(shown.Value, userOf(u))
	}
	return reply{body: shown}, nil
}

// paging reads which part of a list is asked for.
func (c *call) paging() (p access.Paging, err error) {
	if err := c.plain(); err != nil {
		return p, err
	}
	for name, values := range c.r.URL.Query() {
		if len(values) != 1 {
			return p, fault.InvalidInput.Errorf(nil, "The parameter %s is given twice", clip(name))
		}
		switch value := values[0]; name {
		case "after":
			p.After = clip(value)
		case "top":
			if p.Top, err = strconv.Atoi(value); err != nil || p.Top < 1 {
				return p, fault.InvalidInput.Errorf(err, "The parameter top is not a whole number from 1 to %d", access.MaxPage)
			}
		default:
			return p, fault.InvalidInput.Errorf(nil, "There is no parameter %s here", clip(name))
		}
	}
	return p, nil
}

func (a *API) user(ctx context.Context, c *call) (reply, error) {
	found, err := a.Register.User(ctx, c.who, c.id("user"))
	if err != nil {
		return reply{}, err
	}
	if err := c.plain(); err != nil {
		return reply{}, err
	}
	return reply{body: userOf(found)}, nil
}

func (a *API) createUser(ctx context.Context, c *call) (reply, error) {
	made, initial, err := a.Register.CreateUser(ctx, c.who, func() (access.NewUser, error) {
		f := c.form(false, "principal", "name", "groups", "administrator", "password")
		n := access.NewUser{
			Principal: f.text("principal"), Name: f.text("name"), Groups: f.texts("groups"), Administrator: f.truth("administrator"), Password: f.text("password"),
		}
		return n, f.err
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, location: c.root + "/admin/v1/users/" + made.ID, body: madeUserOf(made, initial)}, nil
}

func madeUserOf(u access.User, initial *credential.Clear) madeUser {
	shown := madeUser{user: userOf(u)}
	if initial != nil {
		shown.InitialPassword = new(initial.Reveal())
	}
	return shown
}

func (a *API) changeUser(ctx context.Context, c *call) (reply, error) {
	changed, err := a.Register.ChangeUser(ctx, c.who, c.id("user"), func() (access.UserChange, error) {
		f := c.form(false, "principal", "name", "groups")
		n := access.UserChange{Principal: wanted(f, "principal", f.text), Name: wanted(f, "name", f.text), Groups: wanted(f, "groups", f.texts)}
		return n, f.err
	})
	return oneUser(changed, err)
}

func oneUser(u access.User, err error) (reply, error) {
	if err != nil {
		return reply{}, err
	}
	return reply{body: userOf(u)}, nil
}

func (a *API) disableUser(ctx context.Context, c *call) (reply, error) {
	return a.amendUser(ctx, c, a.Register.DisableUser)
}

func (a *API) enableUser(ctx context.Context, c *call) (reply, error) {
	return a.amendUser(ctx, c, a.Register.EnableUser)
}

func (a *API) resetTOTP(ctx context.Context, c *call) (reply, error) {
	return a.amendUser(ctx, c, a.Register.ResetTOTP)
}

func (a *API) revokeSessions(ctx context.Context, c *call) (reply, error) {
	return a.amendUser(ctx, c, a.Register.RevokeSessions)
}

// amendUser does to a user what takes nothing but their name.
func (a *API) amendUser(ctx context.Context, c *call, do func(context.Context, auth.Caller, string) (access.User, error)) (reply, error) {
	if err := c.bare(auth.AdministerAccess); err != nil {
		return reply{}, err
	}
	return oneUser(do(ctx, c.who, c.id("user")))
}

func (a *API) resetPassword(ctx context.Context, c *call) (reply, error) {
	changed, initial, err := a.Register.ResetPassword(ctx, c.who, c.id("user"), func() (string, error) {
		f := c.form(true, "password")
		password := f.text("password")
		return password, f.err
	})
	if err != nil {
		return reply{}, err
	}
	return reply{body: madeUserOf(changed, initial)}, nil
}

func (a *API) sessions(ctx context.Context, c *call) (reply, error) {
	found, err := a.Register.Sessions(ctx, c.who, c.id("user"))
	if err != nil {
		return reply{}, err
	}
	if err := c.plain(); err != nil {
		return reply{}, err
	}
	list := listed[session]{Value: []session{}}
	for _, s := range found {
		list.Value = append(list.Value, session{
			ID: s.ID, App: given(s.App), Methods: append([]string{}, s.Methods...), Proved: moment(s.Proved), Created: moment(s.Created),
			Used: moment(s.Used), Expires: moment(s.Expires), Address: s.Address, Agent: s.Agent,
		})
	}
	return reply{body: list}, nil
}
