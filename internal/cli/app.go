package cli

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"swab/client"
	"swab/internal/command"
)

// Who may run a command of administrators. What could give its maker every right,
// such as an application, is for administrators alone.
const (
	administers    = " For applications with the permission Swab.Administer, and people with a role that has Manage portal system settings."
	administersAll = " For applications with the permission Swab.Administer, and people with the role Administrator."
)

type appCreate struct {
	Name     string   `arg:"" help:"What it is called: it stands in actions as their requestor."`
	Role     []string `help:"What it may do, once for each: Machine.CollectForensics, Machine.Read.All, Machine.ReadWrite.All, Swab.Administer." placeholder:"ROLE"`
	NoSecret bool     `help:"Without a first secret: for an application that signs in by a certificate alone."`
	signInOf
	Public bool `help:"It runs where it can keep no secret, as on people's own machines: it gets none, and people sign in to it."`
	expires
	connection
	output
}

// signInOf is how people sign in to an application.
type signInOf struct {
	Redirect []string `help:"Where a browser may be sent after a person's sign-in, once for each: http://localhost, or an address of the application." sep:"none" placeholder:"URL"`
	Scope    []string `help:"What it may do in the name of people who sign in to it, once for each: Machine.CollectForensics, Machine.Read, Machine.ReadWrite, Swab.Administer." placeholder:"SCOPE"`
}

func (*appCreate) Help() string {
	return "Makes an application and its first secret, which is shown here and never again: put it where the application reads it. " +
		"Without a role it can sign in by itself and do nothing; without a scope it can do nothing in the name of people." + administersAll
}

// Check judges the settings together.
func (a *appCreate) Check() error {
	if a.Public && (len(a.Role) > 0 || a.Expires != "") {
		return errors.New("--public: it has no secret, so it can't sign in by itself: leave --role and --expires out, and give --scope")
	}
	return nil
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
	r := client.AppRequest{Name: a.Name, Roles: a.Role, Scopes: a.Scope, Redirects: a.Redirect, Public: a.Public}
	if !a.NoSecret && !a.Public {
		r.Secret = &client.SecretRequest{Expires: until}
	}
	made, err := c.CreateApp(ctx, r)
	if err != nil {
		return err
	}
	return a.print(env.Stdout, made, func(w io.Writer) error {
		pairs := append([]string{"client id", made.ID, "client secret", made.ClientSecret}, describe(made.App)...)
		return fields(w, append(pairs, "expires", firstExpiry(made.Secrets))...)
	})
}

// describe is what an application is called and may do, as fields.
func describe(a client.App) []string {
	pairs := []string{"name", a.Name, "roles", strings.Join(a.Roles, ", "), "scopes", strings.Join(a.Scopes, ", ")}
	if a.Public {
		pairs = append(pairs, "public", yesNo(a.Public))
	}
	for _, r := range a.Redirects {
		pairs = append(pairs, "redirect", r)
	}
	return pairs
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
				one.ID, one.Name, strconv.Itoa(len(one.Secrets)), strconv.Itoa(len(one.Certificates)), yesNo(one.Public), yesNo(one.Revoked),
				strings.Join(one.Roles, ", "), strings.Join(one.Scopes, ", "),
			}
		}
		return table(w, "ID NAME SECRETS CERTIFICATES PUBLIC REVOKED ROLES SCOPES", rows)
	})
}

type appShow struct {
	App string `arg:"" help:"The application's client id, or its name."`
	connection
	output
}

func (*appShow) Help() string {
	return "Shows an application and what it proves itself by: ids, ends and names, never a secret." + administers
}

func (a *appShow) Run(ctx context.Context, env command.Env) error {
	return a.ofApp(ctx, env, a.App, func(c *client.Client, id string) error {
		one, err := c.App(ctx, id)
		if err != nil {
			return noSuch("application", a.App, err)
		}
		return a.show(env.Stdout, one)
	})
}

// ofApp does something with an application, by its client id, which the name may
// be.
func (c *connection) ofApp(ctx context.Context, env command.Env, name string, do func(c *client.Client, id string) error) error {
	cl, _, err := c.open(env)
	if err != nil {
		return err
	}
	defer cl.Close()
	id, err := appNamed(ctx, cl, name)
	if err != nil {
		return err
	}
	return do(cl, id)
}

// show prints an application.
func (o output) show(w io.Writer, one client.App) error {
	return o.print(w, one, func(w io.Writer) error {
		err := fields(w, append(append([]string{"client id", one.ID}, describe(one)...), "created", when(one.Created), "revoked", yesNo(one.Revoked))...)
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

type appChange struct {
	App  string   `arg:"" help:"The application's client id, or its name."`
	Name *string  `help:"Another name." placeholder:"NAME"`
	Role []string `help:"What it may do by itself, once for each." placeholder:"ROLE"`
	signInOf
	Public string   `help:"yes: it runs where it can keep no secret. no: it does not." enum:"yes,no," default:"" placeholder:"YES-OR-NO"`
	None   []string `help:"What it shall have none of any more: roles, scopes or redirects; once for each." enum:"roles,scopes,redirects" placeholder:"WHAT"`
	connection
	output
}

func (*appChange) Help() string {
	return "Changes what an application is called and what it may do: the roles, scopes and redirects that are given take the place of all that it has. " +
		"What it may do changes with the next request." + administersAll
}

// change is what is asked for.
func (a *appChange) change() client.AppChange {
	list := func(what string, given []string) *[]string {
		if len(given) == 0 && !slices.Contains(a.None, what) {
			return nil
		}
		given = append([]string{}, given...)
		return &given
	}
	var public *bool
	if a.Public != "" {
		public = new(a.Public == "yes")
	}
	return client.AppChange{Name: a.Name, Public: public, Roles: list("roles", a.Role), Scopes: list("scopes", a.Scope), Redirects: list("redirects", a.Redirect)}
}

// Check judges the settings together.
func (a *appChange) Check() error {
	if a.change() == (client.AppChange{}) {
		return errors.New("give --name, --role, --scope, --redirect, --public or --none: what shall change?")
	}
	var wrong []error
	for what, given := range map[string][]string{"roles": a.Role, "scopes": a.Scope, "redirects": a.Redirect} {
		if len(given) > 0 && slices.Contains(a.None, what) {
			wrong = append(wrong, fmt.Errorf("--none %s: some are given", what))
		}
	}
	return errors.Join(wrong...)
}

func (a *appChange) Run(ctx context.Context, env command.Env) error {
	return a.ofApp(ctx, env, a.App, func(c *client.Client, id string) error {
		one, err := c.ChangeApp(ctx, id, a.change())
		if err != nil {
			return noSuch("application", a.App, err)
		}
		return a.show(env.Stdout, one)
	})
}

type appRevoke struct {
	App string `arg:"" help:"The application's client id, or its name."`
	connection
	output
}

func (*appRevoke) Help() string {
	return "The application gets no token any more, and those it has are worth nothing from now on, for good. " +
		"The last one that may administer stays, unless a user has the role Administrator." + administersAll
}

func (a *appRevoke) Run(ctx context.Context, env command.Env) error {
	return a.ofApp(ctx, env, a.App, func(c *client.Client, id string) error {
		one, err := c.RevokeApp(ctx, id)
		if err != nil {
			return noSuch("application", a.App, err)
		}
		return a.show(env.Stdout, one)
	})
}

type secretAdd struct {
	App  string `arg:"" help:"The application's client id, or its name."`
	Name string `help:"What the secret is for." placeholder:"TEXT"`
	expires
	connection
	output
}

func (*secretAdd) Help() string {
	return "Makes one more secret, which is shown here and never again. The others stay until they are removed, so that one can follow another without a break." + administersAll
}

func (s *secretAdd) Run(ctx context.Context, env command.Env) error {
	until, err := s.of(env.Now())
	if err != nil {
		return err
	}
	return s.ofApp(ctx, env, s.App, func(c *client.Client, id string) error {
		made, err := c.AddSecret(ctx, id, client.SecretRequest{Name: s.Name, Expires: until})
		if err != nil {
			return noSuch("application", s.App, err)
		}
		return s.print(env.Stdout, made, func(w io.Writer) error {
			return fields(w, "id", made.ID, "client secret", made.ClientSecret, "name", made.Name, "expires", when(made.Expires))
		})
	})
}

type secretRemove struct {
	App    string `arg:"" help:"The application's client id, or its name."`
	Secret string `arg:"" help:"The secret's id, as swab app show has it."`
	connection
	output
}

func (*secretRemove) Help() string {
	return "Nobody signs in by the secret any more; tokens that were got by it hold until they expire, an hour at most." + administersAll
}

func (s *secretRemove) Run(ctx context.Context, env command.Env) error {
	return s.ofApp(ctx, env, s.App, func(c *client.Client, id string) error {
		one, err := c.RemoveSecret(ctx, id, s.Secret)
		if err != nil {
			return noSuchOf("secret", s.Secret, s.App, err)
		}
		return s.show(env.Stdout, one)
	})
}

type certificateAdd struct {
	App  string `arg:"" help:"The application's client id, or its name."`
	File string `arg:"" help:"The certificate, PEM or DER. A private key in the file is not sent."`
	Name string `help:"What the certificate is for." placeholder:"TEXT"`
	expires
	connection
	output
}

func (*certificateAdd) Help() string {
	return "Lets whoever has the certificate's private key sign in as the application, until the certificate ends or earlier. " +
		"RSA of 2048 bits or more, or P-256; who signed it does not matter." + administersAll
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
	return a.ofApp(ctx, env, a.App, func(c *client.Client, id string) error {
		made, err := c.AddCertificate(ctx, id, a.Name, cert, until)
		if err != nil {
			return noSuch("application", a.App, err)
		}
		return a.print(env.Stdout, made, func(w io.Writer) error {
			return fields(w, "id", made.ID, "name", made.Name, "expires", when(made.Expires))
		})
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
	App         string `arg:"" help:"The application's client id, or its name."`
	Certificate string `arg:"" help:"The certificate's id, as swab app show has it: the hex SHA-256 of its DER."`
	connection
	output
}

func (*certificateRemove) Help() string {
	return "Nobody signs in by the certificate's key any more; tokens that were got by it hold until they expire, an hour at most." + administersAll
}

func (a *certificateRemove) Run(ctx context.Context, env command.Env) error {
	return a.ofApp(ctx, env, a.App, func(c *client.Client, id string) error {
		one, err := c.RemoveCertificate(ctx, id, a.Certificate)
		if err != nil {
			return noSuchOf("certificate", a.Certificate, a.App, err)
		}
		return a.show(env.Stdout, one)
	})
}

// noSuchOf is noSuch for a credential of an application, either of which may be
// what is not there.
func noSuchOf(what, name, app string, err error) error {
	if e, ok := errors.AsType[*client.Error](err); ok && strings.HasPrefix(e.Message, "Application ") {
		return noSuch("application", app, err)
	}
	return noSuch(what, name, err)
}
