package issuer

import (
	"errors"
	"net/http"
	"strconv"

	"swab/internal/credential"
	"swab/internal/fault"
	"swab/internal/issuer/pages"
	"swab/internal/limit"
	"swab/internal/signin"
)

// fields are those that our own forms come back with.
var fields = []string{
	ticketField, pages.FieldUser, pages.FieldPassword, pages.FieldNew, pages.FieldAgain, pages.FieldCode, pages.FieldRecovery, pages.FieldUserCode,
	pages.FieldSession, pages.FieldDo,
}

// ticketField is the field that a form's ticket stands in.
const ticketField = "ticket"

// Forms, as their tickets name them.
const (
	formPassword    = "password"
	formCode        = "code"
	formNewPassword = "new password"
	formAccount     = "choose account"
)

// form is where a page's form goes, with a ticket in it. target is where what
// comes of it may lead away from this server, "" for nowhere.
func (s *Issuer) form(c *call, path, target string, t signin.Ticket) pages.Form {
	sealed := s.Desk.Seal(c.tenant.ID, c.browser(), t)
	return pages.Form{Action: c.path(path), Hidden: []pages.Field{{Name: ticketField, Value: sealed}}, Redirect: target}
}

// posted reads a form of one of our own pages, and its ticket, which is of the
// form named.
func (s *Issuer) posted(c *call, which string) (form, signin.Ticket, error) {
	if err := c.sameOrigin(); err != nil {
		return nil, signin.Ticket{}, err
	}
	f, err := c.read(fields)
	if err != nil {
		return nil, signin.Ticket{}, err
	}
	t, err := s.Desk.Open(c.tenant.ID, c.cookie(browserCookie), which, f[ticketField])
	return f, t, err
}

// problem is what of an error the person can do something about, with the status
// of the page that says so. false: it is no matter of the person's.
func (c *call) problem(err error, field string) (pages.Problem, int, bool) {
	if over, ok := errors.AsType[*limit.Exceeded](err); ok {
		seconds := strconv.Itoa(int(over.Retry.Seconds()))
		c.w.Header().Set("Retry-After", seconds)
		return pages.Problem{Text: "Too many attempts. Wait " + seconds + " seconds, then try again."}, http.StatusTooManyRequests, true
	}
	if busy, ok := errors.AsType[*credential.Busy](err); ok {
		c.w.Header().Set("Retry-After", strconv.Itoa(int(busy.Retry.Seconds())))
		return pages.Problem{Text: "Too many people are signing in at once. Try again in a few seconds."}, http.StatusServiceUnavailable, true
	}
	switch code, text := fault.Of(err); code {
	case fault.Unauthorized, fault.InvalidInput, fault.NotFound:
		return pages.Problem{Text: text + ".", Field: field}, http.StatusForbidden, true
	}
	return pages.Problem{}, 0, false
}

// startAgain is whether a form came too late, so that what it was for begins anew.
func startAgain(err error) bool {
	code, _ := fault.Of(err)
	return code == fault.BadRequest
}

// askPassword is the page that asks for user name and password, for what request
// says.
func (s *Issuer) askPassword(c *call, request, principal string, p pages.Problem, status int) (any, error) {
	application, target := s.about(c, request)
	if len(principal) > 256 {
		principal = ""
	}
	return shown{status, pages.SignIn{
		Form:   s.form(c, "signin", target, signin.Ticket{For: formPassword, Request: request}),
		Tenant: c.tenant.Name, Application: application, Principal: principal, Problem: p,
	}}, nil
}

// askAccount is the page that asks somebody who is signed in whether to go on as
// that.
func (s *Issuer) askAccount(c *call, a *authorization, in signin.Signed) (any, error) {
	t := signin.Ticket{For: formAccount, Request: a.continuation(), Session: in.Session.ID}
	return shown{http.StatusOK, pages.ChooseAccount{
		Form: s.form(c, "signin/account", a.target, t), Tenant: c.tenant.Name, Application: title(a.app),
		Name: in.Person.Name, Principal: in.Person.Principal,
	}}, nil
}

// toAccount is for who comes to the address of a form without one: by a bookmark, or
// by loading a page again.
func (c *call) toAccount() (any, error) { return redirect(c.path(accountPath)), nil }

// signInAccount takes the choice of an account.
func (s *Issuer) signInAccount(c *call) (any, error) {
	if c.r.Method == http.MethodGet {
		return c.toAccount()
	}
	f, t, err := s.posted(c, formAccount)
	if err != nil {
		return nil, err
	}
	in, signed, err := s.who(c)
	if err != nil {
		return nil, err
	}
	if f[pages.FieldDo] == pages.DoContinue && signed && in.Session.ID == t.Session {
		return s.resume(c, t.Request, in)
	}
	return s.askPassword(c, t.Request, "", pages.Problem{}, http.StatusOK)
}

// signInPassword takes a user name and a password.
func (s *Issuer) signInPassword(c *call) (any, error) {
	if c.r.Method == http.MethodGet {
		return c.toAccount()
	}
	f, t, err := s.posted(c, formPassword)
	if err != nil {
		return nil, err
	}
	p, err := s.Desk.Password(c.r.Context(), signin.Attempt{
		Visitor: c.visitor(), Principal: f[pages.FieldUser], Password: f[pages.FieldPassword], Known: c.cookie(knownCookie + c.tenant.ID),
	})
	if problem, status, ok := c.problem(err, pages.FieldPassword); ok {
		return s.askPassword(c, t.Request, f[pages.FieldUser], problem, status)
	}
	if err != nil {
		return nil, err
	}
	return s.next(c, t.Request, p)
}

// next asks for the step that a sign-in needs next, or goes on with what it is for.
func (s *Issuer) next(c *call, request string, p signin.Progress) (any, error) {
	switch p.Step {
	case signin.StepCode:
		return s.askCode(c, request, p, pages.Problem{}, http.StatusOK)
	case signin.StepPassword:
		return s.askNewPassword(c, request, p, pages.Problem{}, http.StatusOK)
	}
	in, err := s.begin(c, p)
	if err != nil {
		return nil, err
	}
	return s.resume(c, request, in)
}

// principal is the user principal name of whose sign-in it is.
func (s *Issuer) principal(c *call, p signin.Progress) (string, error) {
	person, err := s.Tokens.Directory.Person(c.r.Context(), c.tenant.ID, p.Person)
	return person.Principal, err
}

// askCode is the page that asks for the second step.
func (s *Issuer) askCode(c *call, request string, p signin.Progress, problem pages.Problem, status int) (any, error) {
	principal, err := s.principal(c, p)
	if err != nil {
		return nil, err
	}
	application, target := s.about(c, request)
	return shown{status, pages.OneTimeCode{
		Form:   s.form(c, "signin/code", target, signin.Ticket{For: formCode, Request: request, Progress: p}),
		Tenant: c.tenant.Name, Application: application, Principal: principal, Problem: problem,
	}}, nil
}

// signInCode takes the second step.
func (s *Issuer) signInCode(c *call) (any, error) {
	if c.r.Method == http.MethodGet {
		return c.toAccount()
	}
	f, t, err := s.posted(c, formCode)
	if err != nil {
		return nil, err
	}
	if f[pages.FieldDo] == pages.DoOther {
		return s.askPassword(c, t.Request, "", pages.Problem{}, http.StatusOK)
	}
	typed, field := signin.TypedCode{Code: f[pages.FieldCode], Known: c.cookie(knownCookie + c.tenant.ID)}, pages.FieldCode
	if recovery := f[pages.FieldRecovery]; recovery != "" {
		typed.Code, typed.Recovery, field = recovery, true, pages.FieldRecovery
	}
	p, err := s.Desk.Code(c.r.Context(), c.visitor(), t.Progress, typed)
	if problem, status, ok := c.problem(err, field); ok {
		return s.askCode(c, t.Request, t.Progress, problem, status)
	}
	if startAgain(err) {
		return s.late(c, t.Request, err)
	}
	if err != nil {
		return nil, err
	}
	return s.next(c, t.Request, p)
}

// late asks for the password again, with what came too late as the problem.
func (s *Issuer) late(c *call, request string, err error) (any, error) {
	_, text := fault.Of(err)
	return s.askPassword(c, request, "", pages.Problem{Text: text + "."}, http.StatusForbidden)
}

// askNewPassword is the page that asks for another password, since somebody else
// knows this one.
func (s *Issuer) askNewPassword(c *call, request string, p signin.Progress, problem pages.Problem, status int) (any, error) {
	principal, err := s.principal(c, p)
	if err != nil {
		return nil, err
	}
	_, target := s.about(c, request)
	return shown{status, pages.NewPassword{
		Form:   s.form(c, "signin/password", target, signin.Ticket{For: formNewPassword, Request: request, Progress: p}),
		Tenant: c.tenant.Name, Principal: principal, Must: true, Problem: problem,
	}}, nil
}

// signInNewPassword takes it.
func (s *Issuer) signInNewPassword(c *call) (any, error) {
	if c.r.Method == http.MethodGet {
		return c.toAccount()
	}
	f, t, err := s.posted(c, formNewPassword)
	if err != nil {
		return nil, err
	}
	if f[pages.FieldNew] != f[pages.FieldAgain] {
		return s.askNewPassword(c, t.Request, t.Progress, notAlike, http.StatusForbidden)
	}
	p, err := s.Desk.NewPassword(c.r.Context(), c.visitor(), t.Progress, f[pages.FieldNew])
	if problem, status, ok := c.problem(err, pages.FieldNew); ok {
		return s.askNewPassword(c, t.Request, t.Progress, problem, status)
	}
	if startAgain(err) {
		return s.late(c, t.Request, err)
	}
	if err != nil {
		return nil, err
	}
	return s.next(c, t.Request, p)
}

// notAlike is what is wrong where a password was typed in two ways.
var notAlike = pages.Problem{Text: "The two are not the same. Type the new password twice.", Field: pages.FieldAgain}
