package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"swab/client"
	"swab/internal/command"
)

type tenantCreate struct {
	Name string `arg:"" help:"A DNS name or label in lower case, such as contoso.example. It may stand in addresses in place of the tenant's id."`
	Out  string `help:"Write the credentials to this file, which must not be there yet, and show no secret." placeholder:"FILE"`
	connection
	output
}

func (*tenantCreate) Help() string {
	return "Makes a tenant, apart from every other on the server, with its first application, which may do everything in it, and an enrolment token. " +
		"Both are shown once. The file that --out writes serves as --credentials, and wherever the server's own bootstrap.json does. " +
		"For administrators of the installation's first tenant." + administersAll
}

// madeTenant is a new tenant as it is shown: without secrets where they are in
// a file.
type madeTenant struct {
	client.NewTenant
	File string `json:"file,omitempty"`
}

func (t *tenantCreate) Run(ctx context.Context, env command.Env) error {
	c, own, err := t.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	var file *os.File
	if t.Out != "" {
		// Before the tenant is made: its secrets are told once.
		if file, err = os.OpenFile(t.Out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		defer file.Close()
	}
	made, err := c.CreateTenant(ctx, t.Name)
	if err != nil {
		if file != nil {
			err = errors.Join(err, os.Remove(t.Out))
		}
		return err
	}
	made.CAFile = own.CAFile // the same server, judged in the same way
	shown := madeTenant{NewTenant: made, File: t.Out}
	if file != nil {
		if err := keep(file, made.Credentials); err != nil {
			return fmt.Errorf("%w; tenant %s was made, and its secrets are lost: revoke it", err, made.TenantID)
		}
		shown.ClientSecret, shown.EnrollmentToken = "", ""
	}
	if made.Warning != "" {
		fmt.Fprintf(env.Stderr, "swab: warning: %s\n", command.Printable(made.Warning))
	}
	return t.print(env.Stdout, shown, func(w io.Writer) error {
		return fields(w, "tenant id", made.TenantID, "name", made.TenantName, "authority", made.Authority, "client id", made.ClientID,
			"client secret", shown.ClientSecret, "enrolment token", shown.EnrollmentToken, "credentials", t.Out)
	})
}

// keep writes credentials as the server's first start does.
func keep(f *os.File, cred client.Credentials) error {
	data, err := json.MarshalIndent(cred, "", "  ")
	if err == nil {
		_, err = f.Write(append(data, '\n'))
	}
	return errors.Join(err, f.Sync(), f.Close())
}

type tenantList struct {
	connection
	output
}

func (*tenantList) Help() string {
	return "Lists tenants, the oldest first: to administrators of the installation's first tenant all of them, to those of another their own." + administersAll
}

func (t *tenantList) Run(ctx context.Context, env command.Env) error {
	c, _, err := t.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	tenants, err := c.Tenants(ctx)
	if err != nil {
		return err
	}
	return t.print(env.Stdout, tenants, func(w io.Writer) error {
		rows := make([][]string, len(tenants))
		for i, one := range tenants {
			rows[i] = []string{one.ID, one.Name, when(one.Created), yesNo(one.Revoked)}
		}
		return table(w, "ID NAME CREATED REVOKED", rows)
	})
}

type tenantRevoke struct {
	Tenant string `arg:"" name:"id" help:"The tenant's id, as swab tenant list shows it."`
	connection
	output
}

func (*tenantRevoke) Help() string {
	return "Nobody of the tenant is let in any more, for good: no application, no device, no enrolment, no link. Devices that are connected are cut off. " +
		"Its data stay. The installation's first tenant can't be revoked, and its administrators alone revoke others." + administersAll
}

func (t *tenantRevoke) Run(ctx context.Context, env command.Env) error {
	c, _, err := t.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	one, err := c.RevokeTenant(ctx, t.Tenant)
	if err != nil {
		return noSuch("tenant", t.Tenant, err)
	}
	return t.print(env.Stdout, one, func(w io.Writer) error {
		return fields(w, "id", one.ID, "name", one.Name, "created", when(one.Created), "revoked", yesNo(one.Revoked))
	})
}
