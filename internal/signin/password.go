package signin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/canon"
	"swab/internal/credential"
	"swab/internal/fault"
)

// Attempt is a user name with a password.
type Attempt struct {
	Visitor
	Principal string
	Password  string
	Known     string // the cookie that says in whose browser this is; "" for none
}

// Step is what a sign-in needs next.
type Step string

// The steps, in their order.
const (
	StepCode     Step = "code"     // a one-time code or a recovery code
	StepPassword Step = "password" // a new password, since somebody else knows this one
	StepDone     Step = "done"     // nothing: the person has proved who they are
)

// Progress is how far a person has come. Between two pages it stands in a ticket.
// What it says was true when it was made: each step looks whether it still is.
type Progress struct {
	Step    Step      `json:"step"`
	Person  string    `json:"person"` // id
	Changed int64     `json:"set"`    // when the password was set that was given, in ticks
	Methods []string  `json:"by"`     // how the person proved themselves so far (RFC 8176)
	At      time.Time `json:"at"`     // when the password was right
}

// Methods of RFC 8176.
const (
	byPassword = "pwd"
	byCode     = "otp"
	byRecovery = "kba" // something else that was given out to be known
	byBoth     = "mfa"
)

// What stands for all that can be wrong with a name and a password, and with a code.
var (
	errPassword = fault.Unauthorized.Errorf(nil, "The user name or the password is wrong")
	errCode     = fault.Unauthorized.Errorf(nil, "The code is wrong, has run out, or was used already")
	errTooLate  = fault.BadRequest.Errorf(nil, "Too much time has passed, or your account has changed; start again")
)

// Password looks at a user name and a password. Whoever may not come in is
// fault.Unauthorized, whatever the reason; who guesses too often is a
// *limit.Exceeded, and where too many sign in at once it is a *credential.Busy:
// then nothing was looked at.
func (d *Desk) Password(ctx context.Context, a Attempt) (Progress, error) {
	principal, ok := principalOf(a.Principal)
	if !ok {
		principal = "" // of nobody
	}
	person, c, err := d.Records.Account(ctx, a.Tenant.ID, principal)
	there := err == nil
	if !there {
		if !notThere(err) {
			return Progress{}, err
		}
		person = auth.Person{}
	}
	claim := d.claim(a.Tenant.ID, principal, a.Known, person, c)
	failed, err := d.guesses.Take("sign-in with a wrong password", claim.passwords(a.From)...)
	if err != nil {
		return Progress{}, d.refused(ctx, a.Visitor, person, err)
	}
	looked, leave, err := d.look(claim)
	if err != nil {
		failed()
		return Progress{}, d.refused(ctx, a.Visitor, person, err)
	}
	defer leave()
	hasher := d.Hasher
	if claim.known != "" {
		hasher = d.usual
	}
	right, rehash := false, false
	if there && !person.Disabled && c.Password != "" {
		right, rehash, err = hasher.Verify(ctx, c.Password, a.Password)
	} else {
		err = hasher.Decoy(ctx, a.Password)
	}
	if err != nil {
		failed()
		looked()
		return Progress{}, err
	}
	if !right {
		looked()
		return Progress{}, d.refused(ctx, a.Visitor, person, errPassword)
	}
	failed()
	if rehash {
		d.rehash(ctx, a.Tenant.ID, person, c, a.Password)
	}
	p := Progress{Person: person.ID, Changed: canon.Ticks(c.Changed), Methods: []string{byPassword}, At: d.now()}
	p.Step = p.next(c)
	return p, nil
}

// principalOf is a user name as it is kept.
func principalOf(typed string) (string, bool) {
	name := strings.ToLower(strings.TrimSpace(typed))
	return name, name != "" && len(name) <= maxPrincipal && audit.Clip(name) == name
}

// look takes a place in the queue of those whose password is looked at, and counts
// one that is right, to be given back where it was not.
func (d *Desk) look(c claim) (back, leave func(), err error) {
	leave, err = d.looking.enter(c)
	if err != nil {
		return nil, nil, err
	}
	back, err = d.guesses.Take("sign-in", c.allowance("sign-ins", perRight, time.Minute))
	if err != nil {
		leave()
		return nil, nil, err
	}
	return back, leave, nil
}

// next is the step that is left for somebody with the credential.
func (p Progress) next(c auth.Credential) Step {
	switch {
	case len(c.TOTP) > 0 && len(p.Methods) == 1:
		return StepCode
	case c.MustChange:
		return StepPassword
	}
	return StepDone
}

// rehash keeps a password that was right at what new hashes cost today. It is
// done by the way: where it can't be, it is when the person comes next.
func (d *Desk) rehash(ctx context.Context, tenant string, p auth.Person, was auth.Credential, password string) {
	phc, err := d.Hasher.Hash(ctx, password)
	if err == nil {
		err = d.Records.ChangeCredential(ctx, tenant, p.ID, func(c auth.Credential) (CredentialChange, error) {
			if c.Password == was.Password {
				c.Password = phc
			}
			return CredentialChange{Credential: c}, nil
		})
	}
	if err != nil {
		d.Logger.WarnContext(ctx, "a password is kept at an old cost until its person signs in again", "person", p.ID, "err", err)
	}
}

// check is the person and the credential that a progress speaks of, if it still
// holds and stands at a step.
func (d *Desk) check(ctx context.Context, v Visitor, p Progress, step Step) (auth.Person, auth.Credential, error) {
	age := d.Now().Sub(p.At)
	if p.Step != step || age < -time.Minute || age > TicketLife {
		return auth.Person{}, auth.Credential{}, errTooLate
	}
	person, err := d.Records.Person(ctx, v.Tenant.ID, p.Person)
	if notThere(err) {
		return person, auth.Credential{}, errTooLate
	}
	if err != nil {
		return person, auth.Credential{}, err
	}
	c, err := d.Records.Credential(ctx, v.Tenant.ID, p.Person)
	if err == nil && (person.Disabled || p.outdated(c)) {
		err = errTooLate
	}
	return person, c, err
}

// outdated says whether another password was set since the one that was given.
func (p Progress) outdated(c auth.Credential) bool {
	return c.Password == "" || canon.Ticks(c.Changed) != p.Changed
}

// TypedCode is a one-time code, or a recovery code in its place.
type TypedCode struct {
	Code     string
	Recovery bool   // it is a recovery code
	Known    string // as in an Attempt
}

// Code is the second step. A code that is wrong, or was used, is
// fault.Unauthorized; the errors are otherwise those of Password, and
// fault.BadRequest where the person has to start again.
func (d *Desk) Code(ctx context.Context, v Visitor, p Progress, typed TypedCode) (Progress, error) {
	person, c, err := d.check(ctx, v, p, StepCode)
	if err != nil {
		return Progress{}, err
	}
	back, err := d.guesses.Take("sign-in with a wrong code", d.claim(v.Tenant.ID, person.Principal, typed.Known, person, c).codes()...)
	if err != nil {
		return Progress{}, d.refused(ctx, v, person, err)
	}
	method := byCode
	ctx, cancel := firm(ctx)
	defer cancel()
	err = d.Records.ChangeCredential(ctx, v.Tenant.ID, person.ID, func(c auth.Credential) (CredentialChange, error) {
		if p.outdated(c) || len(c.TOTP) == 0 {
			return CredentialChange{}, errTooLate
		}
		c, method, err = d.useCode(v.Tenant.ID, person, c, typed)
		p.Methods = append(slices.Clip(p.Methods[:1]), method, byBoth)
		p.Step = p.next(c)
		return CredentialChange{Credential: c}, err
	})
	switch {
	case errors.Is(err, fault.Unauthorized):
		return Progress{}, d.refused(ctx, v, person, err)
	case err != nil:
		back()
		return Progress{}, err
	}
	back()
	if method == byRecovery {
		d.Logger.InfoContext(ctx, "a recovery code was used", "person", person.ID, "from", v.From, "correlation", v.Correlation)
	}
	return p, nil
}

// useCode is the credential without the code, which was right, and what was used.
func (d *Desk) useCode(tenant string, p auth.Person, c auth.Credential, typed TypedCode) (auth.Credential, string, error) {
	if typed.Recovery {
		at := credential.MatchRecovery(typed.Code, c.Recovery)
		if at < 0 {
			return c, "", errCode
		}
		c.Recovery = slices.Delete(slices.Clone(c.Recovery), at, at+1)
		return c, byRecovery, nil
	}
	totp, err := d.unsealed(tenant, p, c)
	if err != nil {
		return c, "", err
	}
	step, ok := totp.Verify(typed.Code, d.Now(), c.Step)
	if !ok {
		return c, "", errCode
	}
	c.Step = step
	return c, byCode, nil
}

// totpKind is what kind of secret a TOTP's seed is sealed as.
const totpKind = "one-time code secret"

func (d *Desk) unsealed(tenant string, p auth.Person, c auth.Credential) (credential.TOTP, error) {
	seed, err := d.Secrets.Unseal(totpKind, tenant+"/"+p.ID, c.TOTP)
	if err != nil {
		return credential.TOTP{}, err
	}
	return credential.RestoreTOTP(seed)
}

// NewPassword is the last step of somebody whose password an administrator set.
// One that is not good enough is fault.InvalidInput, with a text for the person.
func (d *Desk) NewPassword(ctx context.Context, v Visitor, p Progress, password string) (Progress, error) {
	person, c, err := d.check(ctx, v, p, StepPassword)
	if err != nil {
		return Progress{}, err
	}
	at, err := d.setPassword(ctx, v, person, c, password, "")
	if err != nil {
		return Progress{}, err
	}
	p.Changed, p.Step = canon.Ticks(at), StepDone
	return p, nil
}

// setPassword gives a person another password than that of was, and ends all of
// their sign-ins but the one to keep.
func (d *Desk) setPassword(ctx context.Context, v Visitor, person auth.Person, was auth.Credential, password, keep string) (time.Time, error) {
	if err := credential.CheckPassword(password, person.Principal); err != nil {
		return time.Time{}, err
	}
	claim := claim{kind: "new", tenant: v.Tenant.ID, who: person.ID}
	if _, err := d.guesses.Take("new passwords", claim.allowance("passwords", perNew, time.Minute)); err != nil {
		return time.Time{}, err
	}
	leave, err := d.looking.enter(claim)
	if err != nil {
		return time.Time{}, err
	}
	defer leave()
	// Who has proved who they are waits for nobody who has not.
	switch same, _, err := d.usual.Verify(ctx, was.Password, password); {
	case err != nil:
		return time.Time{}, err
	case same:
		return time.Time{}, fault.InvalidInput.Errorf(nil, "This is the password that you have; choose another one")
	}
	phc, err := d.usual.Hash(ctx, password)
	if err != nil {
		return time.Time{}, err
	}
	at := d.now()
	ctx, cancel := firm(ctx)
	defer cancel()
	return at, d.Records.ChangeCredential(ctx, v.Tenant.ID, person.ID, func(c auth.Credential) (CredentialChange, error) {
		if c.Password != was.Password {
			return CredentialChange{}, errTooLate
		}
		c.Password, c.Changed, c.MustChange = phc, at, false
		return CredentialChange{Credential: c, End: true, Keep: keep, Entries: []audit.Entry{
			d.entry(v, person, audit.ActChangePassword, person.ID, ""),
		}}, nil
	})
}
