package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"swab/client"
	"swab/internal/command"
)

type login struct {
	APIBase    string        `name:"api-base" help:"Base URL of the server." env:"SWAB_API_BASE" placeholder:"URL"`
	Authority  string        `help:"Where people sign in: the base URL and the tenant's id or name. Default: made of --api-base and --tenant." env:"SWAB_AUTHORITY" placeholder:"URL"`
	Tenant     string        `help:"The tenant's id or name, in place of --authority." env:"SWAB_TENANT" placeholder:"NAME"`
	ClientID   string        `name:"client-id" help:"The application that is signed in to. Default: the one that every tenant has for its command lines." env:"SWAB_LOGIN_CLIENT_ID" placeholder:"ID"`
	CAFile     string        `name:"ca-file" help:"Authorities that the server's certificate is judged by, PEM. Default: the system's." env:"SWAB_CA_FILE" placeholder:"FILE"`
	DeviceCode bool          `name:"device-code" help:"Sign in by a browser on another machine."`
	Timeout    time.Duration `help:"How long to wait for the sign-in." default:"15m" placeholder:"DURATION"`
	signInFile
	output
}

func (*login) Help() string {
	return "Shows an address to open in a browser on this machine, waits until you have signed in there, and keeps the sign-in for the commands that follow: those that are given no other credentials. " +
		"With --device-code the browser may be anywhere: it shows a code to type. " +
		"The sign-in is kept in a file that you alone can read, and ends when it is not used for long, or is ended on the account page or by an administrator."
}

func (l *login) Check() error {
	var errs []error
	if l.APIBase == "" {
		errs = append(errs, errors.New("--api-base: which server?"))
	}
	if (l.Authority == "") == (l.Tenant == "") {
		errs = append(errs, errors.New("--tenant: give the tenant's id or name, or --authority in its place"))
	}
	return errors.Join(errs...)
}

func (l *login) Run(ctx context.Context, env command.Env) error {
	kept := signedIn{APIBase: l.APIBase, Authority: l.Authority, ClientID: l.ClientID, CAFile: l.CAFile}
	if kept.ClientID == "" {
		kept.ClientID = client.CommandLine
	}
	if kept.Authority == "" {
		kept.Authority = strings.TrimSuffix(l.APIBase, "/") + "/" + l.Tenant
	}
	file, err := l.path(env)
	if err != nil {
		return err
	}
	s, err := kept.signIn(env)
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, l.Timeout, fmt.Errorf("%v have passed", l.Timeout))
	defer cancel()
	kept.Grant, err = l.grant(ctx, env, s)
	if err != nil {
		return err
	}
	var before signedIn
	if err := file.locked(ctx, func() error {
		before, _ = file.read() // nobody's, or one that can't be read, is not ended
		return file.write(kept)
	}); err != nil {
		return err
	}
	if err := before.end(ctx, env); err != nil {
		fmt.Fprintf(env.Stderr, "The sign-in that was kept before goes on, since the server could not be told: end it on the account page (%s)\n", command.Printable(err.Error()))
	}
	return l.print(env.Stdout, map[string]string{"principal": kept.Grant.Principal, "name": kept.Grant.Name, "apiBase": kept.APIBase, "file": file.name}, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "Signed in as %s at %s (kept in %s)\n", command.Printable(kept.Grant.Principal), command.Printable(kept.APIBase), command.Printable(file.name))
		return err
	})
}

func (l *login) grant(ctx context.Context, env command.Env, s *client.SignIn) (client.Grant, error) {
	if l.DeviceCode {
		return s.DeviceCode(ctx, func(c client.DeviceCode) error {
			_, err := fmt.Fprintf(env.Stderr, "Open %s in a browser and type %s\n", command.Printable(c.Address), command.Printable(c.UserCode))
			return err
		})
	}
	return s.Browser(ctx, func(address string) error {
		_, err := fmt.Fprintf(env.Stderr, "Open this address in a browser on this machine:\n%s\n", command.Printable(address))
		return err
	})
}

type logout struct {
	signInFile
	output
}

func (*logout) Help() string {
	return "Ends the sign-in of swab login at the server, and deletes the file that keeps it."
}

func (l *logout) Run(ctx context.Context, env command.Env) error {
	file, err := l.path(env)
	if err != nil {
		return err
	}
	said := "Nobody was signed in"
	err = file.locked(ctx, func() error {
		kept, err := file.read()
		if errors.Is(err, errNotSignedIn) {
			return nil
		}
		if err != nil {
			return errors.Join(err, file.remove())
		}
		said = "Signed out: " + kept.Grant.Principal
		if err := kept.end(ctx, env); err != nil {
			said += "; the server could not be told, so end the sign-in on the account page as well: " + err.Error()
		}
		return file.remove()
	})
	if err != nil {
		return err
	}
	return l.print(env.Stdout, map[string]string{"result": said}, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, command.Printable(said))
		return err
	})
}
