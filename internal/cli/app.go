package cli

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"swab/client"
	"swab/internal/command"
)

// Every permission an application can have is needed by somebody; which, the
// guide says.
const administers = " Takes the permission Swab.Administer."

type appCreate struct {
	Name     string   `arg:"" help:"What it is called: it stands in actions as their requestor."`
	Role     []string `help:"What it may do, once for each: Machine.CollectForensics, Machine.Read.All, Machine.ReadWrite.All, Swab.Administer." placeholder:"ROLE"`
	NoSecret bool     `help:"Without a first secret: for an application that signs in by a certificate alone."`
	expires
	connection
	output
}

func (*appCreate) Help() string {
	return "Makes an application and its first secret, which is shown here and never again: put it where the application reads it. " +
		"Without a role it can sign in and do nothing." + administers
}

func (a *appCreate) Run(ctx context.Context, env command.Env) error {
	until, err := a.of(env.Now())
	if err != nil {
		return err
	}
	c, _, err := a.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	r := client.AppRequest{Name: a.Name, Roles: a.Role}
	if !a.NoSecret {
		r.Secret = &client.SecretRequest{Expires: until}
	}
	made, err := c.CreateApp(ctx, r)
	if err != nil {
		return err
	}
	return a.print(env.Stdout, made, func(w io.Writer) error {
		return fields(w, "client id", made.ID, "client secret", made.ClientSecret, "name", made.Name, "roles", strings.Join(made.Roles, ", "),
			"expires", firstExpiry(made.Secrets))
	})
}

func firstExpiry(list []client.Credential) string {
	if len(list) == 0 {
		return ""
	}
	return until(list[0])
}

// until is a credential's end.
func until(c client.Credential) string {
	if c.Expires.IsZero() {
		return "never"
	}
	return when(c.Expires)
}

type appList struct {
	connection
	output
}

func (*appList) Help() string {
	return "Lists the tenant's applications, the oldest first, also those that are revoked." + administers
}

func (a *appList) Run(ctx context.Context, env command.Env) error {
	c, _, err := a.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	apps, err := c.Apps(ctx)
	if err != nil {
		return err
	}
	return a.print(env.Stdout, apps, func(w io.Writer) error {
		rows := make([][]string, len(apps))
		for i, one := range apps {
			rows[i] = []string{
				one.ID, one.Name, strconv.Itoa(len(one.Secrets)), strconv.Itoa(len(one.Certificates)), yesNo(one.Revoked), strings.Join(one.Roles, ", "),
			}
		}
		return table(w, "ID NAME SECRETS CERTIFICATES REVOKED ROLES", rows)
	})
}

type appShow struct {
	App string `arg:"" name:"id" help:"The application's client id."`
	connection
	output
}

func (*appShow) Help() string {
	return "Shows an application and what it proves itself by: ids, ends and names, never a secret." + administers
}

func (a *appShow) Run(ctx context.Context, env command.Env) error {
	c, _, err := a.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	one, err := c.App(ctx, a.App)
	if err != nil {
		return noSuch("application", a.App, err)
	}
	return a.show(env.Stdout, one)
}

// show prints an application.
func (o output) show(w io.Writer, one client.App) error {
	return o.print(w, one, func(w io.Writer) error {
		err := fields(w, "client id", one.ID, "name", one.Name, "roles", strings.Join(one.Roles, ", "), "created", when(one.Created), "revoked", yesNo(one.Revoked))
		var rows [][]string
		for _, k := range one.Secrets {
			rows = append(rows, []string{"secret", k.ID, until(k), k.Name})
		}
		for _, k := range one.Certificates {
			rows = append(rows, []string{"certificate", k.ID, until(k), k.Name})
		}
		if err != nil || len(rows) == 0 {
			return err
		}
		fmt.Fprintln(w)
		return table(w, "KIND ID EXPIRES NAME", rows)
	})
}

type appRevoke struct {
	App string `arg:"" name:"id" help:"The application's client id."`
	connection
	output
}

func (*appRevoke) Help() string {
	return "The application gets no token any more, and those it has are worth nothing from now on, for good. " +
		"The last one that may administer stays." + administers
}

func (a *appRevoke) Run(ctx context.Context, env command.Env) error {
	c, _, err := a.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	one, err := c.RevokeApp(ctx, a.App)
	if err != nil {
		return noSuch("application", a.App, err)
	}
	return a.show(env.Stdout, one)
}

type secretAdd struct {
	App  string `arg:"" name:"id" help:"The application's client id."`
	Name string `help:"What the secret is for." placeholder:"TEXT"`
	expires
	connection
	output
}

func (*secretAdd) Help() string {
	return "Makes one more secret, which is shown here and never again. The others stay until they are removed, so that one can follow another without a break." + administers
}

func (s *secretAdd) Run(ctx context.Context, env command.Env) error {
	until, err := s.of(env.Now())
	if err != nil {
		return err
	}
	c, _, err := s.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	made, err := c.AddSecret(ctx, s.App, client.SecretRequest{Name: s.Name, Expires: until})
	if err != nil {
		return noSuch("application", s.App, err)
	}
	return s.print(env.Stdout, made, func(w io.Writer) error {
		return fields(w, "id", made.ID, "client secret", made.ClientSecret, "name", made.Name, "expires", when(made.Expires))
	})
}

type secretRemove struct {
	App    string `arg:"" name:"id" help:"The application's client id."`
	Secret string `arg:"" help:"The secret's id, as swab app show has it."`
	connection
	output
}

func (*secretRemove) Help() string {
	return "Nobody signs in by the secret any more; tokens that were got by it hold until they expire, an hour at most." + administers
}

func (s *secretRemove) Run(ctx context.Context, env command.Env) error {
	c, _, err := s.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	one, err := c.RemoveSecret(ctx, s.App, s.Secret)
	if err != nil {
		return noSuchOf("secret", s.Secret, s.App, err)
	}
	return s.show(env.Stdout, one)
}

type certificateAdd struct {
	App  string `arg:"" name:"id" help:"The application's client id."`
	File string `arg:"" help:"The certificate, PEM or DER. A private key in the file is not sent."`
	Name string `help:"What the certificate is for." placeholder:"TEXT"`
	expires
	connection
	output
}

func (*certificateAdd) Help() string {
	return "Lets whoever has the certificate's private key sign in as the application, until the certificate ends or earlier. " +
		"RSA of 2048 bits or more, or P-256; who signed it does not matter." + administers
}

func (a *certificateAdd) Run(ctx context.Context, env command.Env) error {
	until, err := a.of(env.Now())
	if err != nil {
		return err
	}
	cert, err := readCertificate(a.File)
	if err != nil {
		return err
	}
	c, _, err := a.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	made, err := c.AddCertificate(ctx, a.App, a.Name, cert, until)
	if err != nil {
		return noSuch("application", a.App, err)
	}
	return a.print(env.Stdout, made, func(w io.Writer) error {
		return fields(w, "id", made.ID, "name", made.Name, "expires", when(made.Expires))
	})
}

// maxCertificate bounds a certificate's file: 64 KiB.
const maxCertificate = 64 << 10

// readCertificate reads the first certificate of a file.
func readCertificate(file string) (*x509.Certificate, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCertificate+1))
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", file, err)
	}
	if len(data) > maxCertificate {
		return nil, fmt.Errorf("certificate %s: it has over %d bytes", file, maxCertificate)
	}
	der := data
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			der = block.Bytes
			break
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil { // not its text: it may quote the file
		return nil, fmt.Errorf("certificate %s: it holds no X.509 certificate in PEM or DER", file)
	}
	return cert, nil
}

type certificateRemove struct {
	App         string `arg:"" name:"id" help:"The application's client id."`
	Certificate string `arg:"" help:"The certificate's id, as swab app show has it: the hex SHA-256 of its DER."`
	connection
	output
}

func (*certificateRemove) Help() string {
	return "Nobody signs in by the certificate's key any more; tokens that were got by it hold until they expire, an hour at most." + administers
}

func (a *certificateRemove) Run(ctx context.Context, env command.Env) error {
	c, _, err := a.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	one, err := c.RemoveCertificate(ctx, a.App, a.Certificate)
	if err != nil {
		return noSuchOf("certificate", a.Certificate, a.App, err)
	}
	return a.show(env.Stdout, one)
}

// noSuchOf is noSuch for a credential of an application, either of which may be
// what is not there.
func noSuchOf(what, name, app string, err error) error {
	if e, ok := errors.AsType[*client.Error](err); ok && strings.HasPrefix(e.Message, "Application ") {
		return noSuch("application", app, err)
	}
	return noSuch(what, name, err)
}
