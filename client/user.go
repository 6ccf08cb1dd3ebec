package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// User is a person who signs in here, as administrators see them. All calls on
// users, user groups, roles and device groups take the permission
// Swab.Administer; of a person also the role permission Manage portal system
// settings.
type User struct {
	ID            string    `json:"id"`
	Principal     string    `json:"principal"` // the user principal name, in lower case: ann@contoso.example
	Name          string    `json:"name"`      // to show
	Groups        []string  `json:"groups"`    // ids of user groups
	Administrator bool      `json:"administrator"`
	Disabled      bool      `json:"disabled"` // gets no token any more
	Created       time.Time `json:"created"`
}

// UserRequest asks for a user.
type UserRequest struct {
	Principal     string   `json:"principal"`
	Name          string   `json:"name,omitempty"`
	Groups        []string `json:"groups,omitempty"`        // ids of user groups
	Administrator bool     `json:"administrator,omitempty"` // into a user group of the built-in role, which is made if there is none
	Password      string   `json:"password,omitempty"`      // "": the server makes one; either has to be changed at the first sign-in
}

// NewUser is a user with the password that was made. It is in no other answer.
type NewUser struct {
	User
	InitialPassword string `json:"initialPassword"` // "" where one was given
}

// UserChange is what is to become of a user; nil: as it was.
type UserChange struct {
	Principal *string   `json:"principal,omitempty"`
	Name      *string   `json:"name,omitempty"`
	Groups    *[]string `json:"groups,omitempty"`
}

// Session is a sign-in of a user that has not ended.
type Session struct {
	ID      string    `json:"id"`
	App     string    `json:"app"`     // client id of the application; "" for the browser's own
	Methods []string  `json:"methods"` // how the user proved who they are: pwd, otp
	Proved  time.Time `json:"proved"`  // when they did
	Created time.Time `json:"created"`
	Used    time.Time `json:"used"` // last
	Expires time.Time `json:"expires"`
	Address string    `json:"address"`
	Agent   string    `json:"agent"` // what the browser or program calls itself
}

// userPage is a part of a list of users.
type userPage struct {
	Value []User `json:"value"`
	Next  string `json:"next"` // what after has to be for the next part; "" at the end
}

const usersPath = "api/admin/v1/users"

// Users lists the tenant's users in the order of their principals, also those
// that are disabled.
func (c *Client) Users(ctx context.Context) iter.Seq2[User, error] { return c.people(ctx, usersPath) }

// people yields the users of every part of a list.
func (c *Client) people(ctx context.Context, path string) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) {
		for after := ""; ; {
			query := url.Values{"top": {strconv.Itoa(1000)}}
			if after != "" {
				query.Set("after", after)
			}
			var page userPage
			if err := c.call(ctx, http.MethodGet, path, query, nil, &page, maxList); err != nil {
				yield(User{}, err)
				return
			}
			for _, u := range page.Value {
				if !yield(u, nil) {
					return
				}
			}
			if page.Next == "" || page.Next <= after { // the list goes on, or the server leads in a circle
				return
			}
			after = page.Next
		}
	}
}

// User returns one user, by the id or by the principal.
func (c *Client) User(ctx context.Context, name string) (User, error) {
	var out User
	err := c.ofUser(ctx, http.MethodGet, name, "", nil, &out)
	return out, err
}

// CreateUser makes a user.
func (c *Client) CreateUser(ctx context.Context, r UserRequest) (NewUser, error) {
	var out NewUser
	err := c.call(ctx, http.MethodPost, usersPath, nil, r, &out, maxEntity)
	return out, err
}

// ChangeUser changes what a user is called and which user groups they are in.
func (c *Client) ChangeUser(ctx context.Context, name string, change UserChange) (User, error) {
	var out User
	err := c.ofUser(ctx, http.MethodPatch, name, "", change, &out)
	return out, err
}

// DisableUser shuts a user out and ends their sessions. The last administrator
// can't be disabled.
func (c *Client) DisableUser(ctx context.Context, name string) (User, error) {
	var out User
	err := c.ofUser(ctx, http.MethodPost, name, "disable", nil, &out)
	return out, err
}

// EnableUser lets a user sign in again.
func (c *Client) EnableUser(ctx context.Context, name string) (User, error) {
	var out User
	err := c.ofUser(ctx, http.MethodPost, name, "enable", nil, &out)
	return out, err
}

// ResetPassword gives a user another password, which they have to change at the
// next sign-in, and ends their sessions. Where it is "" the server makes one.
func (c *Client) ResetPassword(ctx context.Context, name, password string) (NewUser, error) {
	var out NewUser
	in := struct {
		Password string `json:"password,omitempty"`
	}{password}
	err := c.ofUser(ctx, http.MethodPost, name, "resetPassword", in, &out)
	return out, err
}

// ResetTOTP takes a user's one-time codes and recovery codes away.
func (c *Client) ResetTOTP(ctx context.Context, name string) (User, error) {
	var out User
	err := c.ofUser(ctx, http.MethodPost, name, "resetTotp", nil, &out)
	return out, err
}

// Sessions lists the sign-ins of a user that have not ended, the newest first.
func (c *Client) Sessions(ctx context.Context, name string) ([]Session, error) {
	var out list[Session]
	err := c.ofUser(ctx, http.MethodGet, name, "sessions", nil, &out)
	return out.Value, err
}

// RevokeSessions ends all sessions of a user; tokens that are out are worth
// nothing.
func (c *Client) RevokeSessions(ctx context.Context, name string) (User, error) {
	var out User
	err := c.ofUser(ctx, http.MethodPost, name, "revokeSessions", nil, &out)
	return out, err
}

// ofUser makes a call at a user's address, or one below it.
func (c *Client) ofUser(ctx context.Context, method, name, what string, in, out any) error {
	return c.of(ctx, method, usersPath, "user", name, what, in, out)
}

// of makes a call at the address of one thing of a list, or at one below it.
func (c *Client) of(ctx context.Context, method, path, kind, id, what string, in, out any) error {
	last, err := segment(kind, id)
	if err != nil {
		return err
	}
	path += "/" + last
	if what != "" {
		path += "/" + what
	}
	return c.call(ctx, method, path, nil, in, out, maxEntity)
}
