package signin

import (
	"context"
	"slices"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/canon"
	"swab/internal/credential"
	"swab/internal/fault"
)

// What people do about their own account takes a [Progress] that is done: they
// prove who they are first, by Password and Code, though they are signed in. A
// stranger at an open browser can't.

// Credential is what a person proves themselves by, for them to see: whether they
// have a second step, when the password was set, how many recovery codes are left.
func (d *Desk) Credential(ctx context.Context, s Signed) (auth.Credential, error) {
	return d.Records.Credential(ctx, s.Person.Tenant, s.Person.ID)
}

// Groups returns the names of the user groups that somebody is in.
func (d *Desk) Groups(ctx context.Context, s Signed) ([]string, error) {
	return d.Records.GroupNames(ctx, s.Person.Tenant, s.Person.ID)
}

// ChangePassword sets somebody's password, and ends all of their sign-ins but the
// one that they do it in. The errors are those of [Desk.NewPassword].
func (d *Desk) ChangePassword(ctx context.Context, v Visitor, s Signed, p Progress, password string) error {
	person, c, err := d.check(ctx, v, p, StepDone)
	if err != nil {
		return err
	}
	if person.ID != s.Person.ID {
		return errTooLate
	}
	_, err = d.setPassword(ctx, v, person, c, password, s.Session.ID)
	return err
}

// EnrolTOTP gives somebody who has no second step one, if the code shows that
// their app has the secret, and returns their recovery codes. A wrong code is
// fault.Unauthorized.
func (d *Desk) EnrolTOTP(ctx context.Context, v Visitor, p Progress, secret credential.TOTP, code string) ([]credential.Clear, error) {
	person, _, err := d.check(ctx, v, p, StepDone)
	if err != nil {
		return nil, err
	}
	step, ok := secret.Verify(code, d.Now(), 0)
	if !ok {
		return nil, fault.Unauthorized.Errorf(nil, "The code is not the one that the app shows now. Look at the clocks of the phone and of this server, and try the next code")
	}
	codes, hashes := credential.NewRecoveryCodes()
	return codes, d.changed(ctx, v, person, p, audit.ActEnrolTOTP, func(c auth.Credential) (auth.Credential, error) {
		if len(c.TOTP) > 0 {
			return c, errTooLate
		}
		c.TOTP, c.Step, c.Recovery = d.Secrets.Seal(totpKind, person.Tenant+"/"+person.ID, secret.Seed()), step, hashes
		return c, nil
	})
}

// RemoveTOTP takes somebody's second step away, with the recovery codes.
func (d *Desk) RemoveTOTP(ctx context.Context, v Visitor, p Progress) error {
	person, _, err := d.check(ctx, v, p, StepDone)
	if err != nil {
		return err
	}
	return d.changed(ctx, v, person, p, audit.ActRemoveTOTP, func(c auth.Credential) (auth.Credential, error) {
		c.TOTP, c.Step, c.Recovery = nil, 0, nil
		return c, nil
	})
}

// NewRecoveryCodes makes somebody new recovery codes in the place of those that
// they have.
func (d *Desk) NewRecoveryCodes(ctx context.Context, v Visitor, p Progress) ([]credential.Clear, error) {
	person, _, err := d.check(ctx, v, p, StepDone)
	if err != nil {
		return nil, err
	}
	codes, hashes := credential.NewRecoveryCodes()
	return codes, d.changed(ctx, v, person, p, audit.ActRecovery, func(c auth.Credential) (auth.Credential, error) {
		if len(c.TOTP) == 0 {
			return c, errTooLate
		}
		c.Recovery = hashes
		return c, nil
	})
}

// changed changes the credential of somebody who has proved who they are, also by
// a second step where they have one.
func (d *Desk) changed(ctx context.Context, v Visitor, person auth.Person, p Progress, act audit.Act, change func(auth.Credential) (auth.Credential, error)) error {
	return d.Records.ChangeCredential(ctx, v.Tenant.ID, person.ID, func(c auth.Credential) (CredentialChange, error) {
		if canon.Ticks(c.Changed) != p.Changed || len(c.TOTP) > 0 && !slices.Contains(p.Methods, byBoth) {
			return CredentialChange{}, errTooLate
		}
		c, err := change(c)
		return CredentialChange{Credential: c, Entries: []audit.Entry{d.entry(v, person, act, person.ID, "")}}, err
	})
}

// ByPassword signs a person in to an application that has their password itself
// (the grant password of RFC 6749), which most installations don't allow. Who has
// a second step, or has to set a new password, can't sign in that way.
func (d *Desk) ByPassword(ctx context.Context, a Attempt, app auth.App, scope Scope) (Grant, error) {
	p, err := d.Password(ctx, a)
	if err != nil {
		return Grant{}, err
	}
	if p.Step != StepDone {
		return Grant{}, refuse(Interaction, "The person has to do more to sign in than give a password: use a browser or a device code")
	}
	person, err := d.Directory.Person(ctx, a.Tenant.ID, p.Person)
	if err != nil {
		return Grant{}, err
	}
	g := Grant{Scope: scope, Person: person}
	if g.Granted, err = scope.Granted(app); err != nil {
		return Grant{}, err
	}
	g.Session = d.began(a.Visitor, app, Session{
		Tenant: a.Tenant.ID, Person: person.ID, Principal: person.Principal, Methods: p.Methods, Proved: p.At,
	}, scope)
	o := d.give(&g, Outcome{})
	return g, d.Records.AddSession(ctx, g.Session, o.Refresh, "", func(c auth.Credential) error {
		if p.outdated(c) {
			return errTooLate
		}
		return nil
	}, d.signedIn(a.Visitor, app, g.Session))
}
