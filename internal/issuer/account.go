package issuer

import (
	"errors"
	"net/http"
	"time"

	"swab/internal/credential"
	"swab/internal/fault"
	"swab/internal/issuer/pages"
	"swab/internal/signin"
)

// Forms of the account's pages.
const (
	formSessions = "account"
	formOwn      = "own password"
	formTwoStep  = "set up two-step"
	formScanned  = "two-step code"
	formRecovery = "recovery codes"
	formRemove   = "remove two-step"
)

// notices are what the account's page says of what was just done, by the word in
// its query.
var notices = map[string]string{
	"password": "Your password is changed. Everywhere else you are signed out.",
	"two-step": "Two-step verification is removed.",
	"ended":    "You are signed out there.",
}

// done goes to the account's page, which says what was done: the cookie says that
// it was, for any link can say so in its query.
func (c *call) done(what string) answer {
	c.keep(doneCookie+c.tenant.ID, what, time.Minute)
	return redirect(c.path(accountPath) + "?done=" + what)
}

// notice is what the account's page says of what was just done, once.
func (c *call) notice() string {
	what := c.cookie(doneCookie + c.tenant.ID)
	if what == "" {
		return ""
	}
	c.drop(doneCookie + c.tenant.ID)
	if what != c.r.URL.Query().Get("done") {
		return ""
	}
	return notices[what]
}

// signedIn is who is signed in, or else the page that asks for it, after which it
// goes on at path.
func (s *Issuer) signedIn(c *call, path string) (in signin.Signed, other any, err error) {
	in, signed, err := s.who(c)
	if err == nil && !signed {
		other, err = s.askPassword(c, path, "", pages.Problem{}, http.StatusOK)
	}
	return in, other, err
}

// own is signedIn and posted together, for a form of the account's pages. The form
// is of the session that it was shown in.
func (s *Issuer) own(c *call, path, which string) (in signin.Signed, f form, t signin.Ticket, other any, err error) {
	if f, t, err = s.posted(c, which); err != nil {
		return in, f, t, nil, err
	}
	in, other, err = s.signedIn(c, path)
	if err == nil && other == nil && t.Session != in.Session.ID {
		other = redirect(c.path(path))
	}
	return in, f, t, other, err
}

// account is a person's own page.
func (s *Issuer) account(c *call) (any, error) {
	if c.r.Method == http.MethodPost {
		return s.accountDo(c)
	}
	in, other, err := s.signedIn(c, accountPath)
	if err != nil || other != nil {
		return other, err
	}
	k, err := s.Desk.Credential(c.r.Context(), in)
	if err != nil {
		return nil, err
	}
	sessions, err := s.Desk.Own(c.r.Context(), in)
	if err != nil {
		return nil, err
	}
	p := pages.Account{
		Form: s.form(c, accountPath, "", signin.Ticket{For: formSessions, Session: in.Session.ID}), Tenant: c.tenant.Name,
		Name: in.Person.Name, Principal: in.Person.Principal, Notice: c.notice(),
		PasswordChanged: k.Changed, PasswordPage: c.path(passwordPath), TwoStep: len(k.TOTP) > 0, Recovery: len(k.Recovery),
		SetUpPage: c.path(twoStepPath), RecoveryPage: c.path(recoveryPath), RemovePage: c.path(removePath), Now: s.Now(),
	}
	if p.Groups, err = s.Desk.Groups(c.r.Context(), in); err != nil {
		return nil, err
	}
	for _, one := range sessions {
		shown := pages.Session{ID: one.ID, Agent: one.Agent, Address: one.From, Began: one.Created, Used: one.Used, This: one.ID == in.Session.ID}
		if one.App != "" {
			app, err := s.application(c, one.App)
			if err != nil {
				return nil, err
			}
			if shown.Application = title(app); shown.Application == "" {
				shown.Application = one.App // it is revoked
			}
		}
		p.Sessions = append(p.Sessions, shown)
	}
	return shown{http.StatusOK, p}, nil
}

// accountDo takes the buttons of the account's page.
func (s *Issuer) accountDo(c *call) (any, error) {
	in, f, _, other, err := s.own(c, accountPath, formSessions)
	if err != nil || other != nil {
		return other, err
	}
	ctx, v := c.r.Context(), c.visitor()
	switch id := f[pages.FieldSession]; f[pages.FieldDo] {
	case pages.DoSignOut:
		err = s.Desk.SignOut(ctx, v, in)
	case pages.DoEndAll:
		err = s.Desk.SignOutEverywhere(ctx, v, in)
	case pages.DoEndSession:
		if err = s.Desk.SignOutOf(ctx, v, in, id); errors.Is(err, fault.NotFound) {
			err = nil // it ended by itself meanwhile
		}
		if err == nil && id != in.Session.ID {
			return c.done("ended"), nil
		}
	default:
		return nil, invalidRequest(900144, "The form does not say what to do")
	}
	if err != nil {
		return nil, err
	}
	return s.signedOut(c), nil
}

// signedOut is the page of a browser in which nobody is signed in any more.
func (s *Issuer) signedOut(c *call) answer {
	c.drop(sessionCookie + c.tenant.ID)
	return shown{http.StatusOK, pages.SignedOut{Tenant: c.tenant.Name, SignIn: c.path(accountPath)}}
}

// accountPassword changes a person's password.
func (s *Issuer) accountPassword(c *call) (any, error) {
	ask := func(in signin.Signed, problem pages.Problem, status int) (any, error) {
		k, err := s.Desk.Credential(c.r.Context(), in)
		return shown{status, pages.NewPassword{
			Form:   s.form(c, passwordPath, "", signin.Ticket{For: formOwn, Session: in.Session.ID}),
			Tenant: c.tenant.Name, Principal: in.Person.Principal, Old: true, Code: len(k.TOTP) > 0, Cancel: c.path(accountPath), Problem: problem,
		}}, err
	}
	if c.r.Method == http.MethodGet {
		in, other, err := s.signedIn(c, passwordPath)
		if err != nil || other != nil {
			return other, err
		}
		return ask(in, pages.Problem{}, http.StatusOK)
	}
	in, f, _, other, err := s.own(c, passwordPath, formOwn)
	if err != nil || other != nil {
		return other, err
	}
	if f[pages.FieldNew] != f[pages.FieldAgain] {
		return ask(in, notAlike, http.StatusForbidden)
	}
	p, field, err := s.proved(c, in, f)
	if err == nil {
		field = pages.FieldNew
		err = s.Desk.ChangePassword(c.r.Context(), c.visitor(), in, p, f[pages.FieldNew])
	}
	if problem, status, ok := c.problem(err, field); ok {
		return ask(in, problem, status)
	}
	if err != nil {
		return nil, err
	}
	return c.done("password"), c.know(s, in.Person) // as one in which the new one was set
}

// proof is a page on which a person proves who they are before something is done
// to their account.
type proof struct {
	path, form      string
	purpose, effect string
	button          string
}

// prove asks for the proof, or takes it: then the progress is done, and there is
// nothing to show.
func (s *Issuer) prove(c *call, what proof) (p signin.Progress, in signin.Signed, other any, err error) {
	ask := func(problem pages.Problem, status int) (any, error) {
		k, err := s.Desk.Credential(c.r.Context(), in)
		return shown{status, pages.Proof{
			Form: s.form(c, what.path, "", signin.Ticket{For: what.form, Session: in.Session.ID}), Tenant: c.tenant.Name, Principal: in.Person.Principal,
			Purpose: what.purpose, Effect: what.effect, Button: what.button, Code: len(k.TOTP) > 0, Cancel: c.path(accountPath), Problem: problem,
		}}, err
	}
	if c.r.Method == http.MethodGet {
		if in, other, err = s.signedIn(c, what.path); err == nil && other == nil {
			other, err = ask(pages.Problem{}, http.StatusOK)
		}
		return p, in, other, err
	}
	in, f, _, other, err := s.own(c, what.path, what.form)
	if err != nil || other != nil {
		return p, in, other, err
	}
	p, field, err := s.proved(c, in, f)
	if problem, status, ok := c.problem(err, field); ok {
		other, err = ask(problem, status)
	}
	return p, in, other, err
}

// proved is how far somebody who is signed in has proved once more who they are, by
// the fields of a form, and the field that an error is about.
func (s *Issuer) proved(c *call, in signin.Signed, f form) (p signin.Progress, field string, err error) {
	known := c.cookie(knownCookie + c.tenant.ID)
	p, err = s.Desk.Password(c.r.Context(), signin.Attempt{
		Visitor: c.visitor(), Principal: in.Person.Principal, Password: f[pages.FieldPassword], Known: known,
	})
	if err != nil || p.Step != signin.StepCode {
		return p, pages.FieldPassword, err
	}
	code := f[pages.FieldCode]
	p, err = s.Desk.Code(c.r.Context(), c.visitor(), p, signin.TypedCode{Code: code, Recovery: len(code) > maxOneTime, Known: known})
	return p, pages.FieldCode, err
}

// maxOneTime is how many characters a one-time code has at most, with blanks. A
// recovery code has more.
const maxOneTime = 10

// accountTwoStep begins to set up two-step verification.
func (s *Issuer) accountTwoStep(c *call) (any, error) {
	p, in, other, err := s.prove(c, proof{
		path: twoStepPath, form: formTwoStep, purpose: "Set up two-step verification",
		effect: "From then on, signing in takes a code from an app on your phone as well.", button: "Go on",
	})
	if err != nil || other != nil {
		return other, err
	}
	k, err := s.Desk.Credential(c.r.Context(), in)
	if err != nil {
		return nil, err
	}
	if len(k.TOTP) > 0 {
		return redirect(c.path(accountPath)), nil
	}
	return s.askScan(c, in, p, credential.NewTOTP(), pages.Problem{}, http.StatusOK)
}

// askScan shows the secret of two-step verification, which is in the ticket until
// a code shows that an app has it.
func (s *Issuer) askScan(c *call, in signin.Signed, p signin.Progress, secret credential.TOTP, problem pages.Problem, status int) (any, error) {
	qr, err := secret.QR(issuerName+" "+c.tenant.Name, in.Person.Principal)
	if err != nil { // the names are too long: it can be typed
		qr = nil
	}
	t := signin.Ticket{For: formScanned, Session: in.Session.ID, Progress: p, Secret: secret.Seed()}
	return shown{status, pages.TwoStepSetup{
		Form: s.form(c, "account/two-step/code", "", t), Tenant: c.tenant.Name, Principal: in.Person.Principal,
		QR: qr, Secret: secret.Text().Reveal(), Cancel: c.path(accountPath), Problem: problem,
	}}, nil
}

// issuerName is what an authenticator app calls this program, before the tenant.
const issuerName = "Swab"

// accountTwoStepCode takes the code that shows that an app has the secret.
func (s *Issuer) accountTwoStepCode(c *call) (any, error) {
	if c.r.Method == http.MethodGet {
		return redirect(c.path(twoStepPath)), nil
	}
	in, f, t, other, err := s.own(c, twoStepPath, formScanned)
	if err != nil || other != nil {
		return other, err
	}
	secret, err := credential.RestoreTOTP(t.Secret)
	if err != nil {
		return nil, err
	}
	codes, err := s.Desk.EnrolTOTP(c.r.Context(), c.visitor(), t.Progress, secret, f[pages.FieldCode])
	if problem, status, ok := c.problem(err, pages.FieldCode); ok {
		return s.askScan(c, in, t.Progress, secret, problem, status)
	}
	if err != nil {
		return nil, err
	}
	return s.recoveryCodes(c, in, codes), c.know(s, in.Person)
}

// recoveryCodes shows somebody's recovery codes, this once.
func (s *Issuer) recoveryCodes(c *call, in signin.Signed, codes []credential.Clear) answer {
	p := pages.RecoveryCodes{Tenant: c.tenant.Name, Principal: in.Person.Principal, Made: s.Now(), Next: c.path(accountPath)}
	for _, code := range codes {
		p.Codes = append(p.Codes, code.Reveal())
	}
	return shown{http.StatusOK, p}
}

// accountRecovery makes new recovery codes.
func (s *Issuer) accountRecovery(c *call) (any, error) {
	p, in, other, err := s.prove(c, proof{
		path: recoveryPath, form: formRecovery, purpose: "Make new recovery codes",
		effect: "The recovery codes that you have now will be worth nothing.", button: "Make new codes",
	})
	if err != nil || other != nil {
		return other, err
	}
	codes, err := s.Desk.NewRecoveryCodes(c.r.Context(), c.visitor(), p)
	if err != nil {
		return nil, err
	}
	return s.recoveryCodes(c, in, codes), nil
}

// accountRemove removes two-step verification.
func (s *Issuer) accountRemove(c *call) (any, error) {
	p, in, other, err := s.prove(c, proof{
		path: removePath, form: formRemove, purpose: "Remove two-step verification",
		effect: "From then on, your password alone signs you in, and your recovery codes are worth nothing.", button: "Remove",
	})
	if err != nil || other != nil {
		return other, err
	}
	if err := s.Desk.RemoveTOTP(c.r.Context(), c.visitor(), p); err != nil {
		return nil, err
	}
	return c.done("two-step"), c.know(s, in.Person)
}
