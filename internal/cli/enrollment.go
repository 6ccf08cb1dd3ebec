package cli

import (
	"context"
	"io"
	"strconv"
	"strings"

	"swab/client"
	"swab/internal/command"
)

type enrollmentCreate struct {
	Name  string   `help:"What the token is for." placeholder:"TEXT"`
	Count int      `help:"How many devices may join by it. Default: any number." placeholder:"N"`
	Tag   []string `help:"A tag that its devices get, once for each." sep:"none" placeholder:"TAG"`
	expires
	connection
	output
}

func (*enrollmentCreate) Help() string {
	return "Makes a token by which devices join the tenant. It is shown here and never again. Without --count and --expires it admits until it is revoked." + administers
}

func (e *enrollmentCreate) Run(ctx context.Context, env command.Env) error {
	until, err := e.of(env.Now())
	if err != nil {
		return err
	}
	c, _, err := e.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	made, err := c.CreateEnrollment(ctx, client.EnrollmentRequest{Name: e.Name, Count: e.Count, Expires: until, Tags: e.Tag})
	if err != nil {
		return err
	}
	return e.print(env.Stdout, made, func(w io.Writer) error {
		return fields(w, "id", made.ID, "token", made.Token, "name", made.Name, "remaining", remaining(made.Enrollment), "expires", expiry(made.Enrollment),
			"tags", strings.Join(made.Tags, ", "))
	})
}

type enrollmentList struct {
	connection
	output
}

func (*enrollmentList) Help() string {
	return "Shows what each token still admits, and never the token itself." + administers
}

func (l *enrollmentList) Run(ctx context.Context, env command.Env) error {
	c, _, err := l.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	tokens, err := c.Enrollments(ctx)
	if err != nil {
		return err
	}
	return l.print(env.Stdout, tokens, func(w io.Writer) error {
		rows := make([][]string, len(tokens))
		for i, e := range tokens {
			rows[i] = []string{e.ID, e.Name, remaining(e), expiry(e), yesNo(e.Revoked), strings.Join(e.Tags, ", ")}
		}
		return table(w, "ID NAME REMAINING EXPIRES REVOKED TAGS", rows)
	})
}

type enrollmentRevoke struct {
	Token string `arg:"" name:"id" help:"The token's id, as swab enrollment list shows it."`
	connection
	output
}

func (*enrollmentRevoke) Help() string {
	return "No device joins by the token any more, for good; those that joined by it stay." + administers
}

func (r *enrollmentRevoke) Run(ctx context.Context, env command.Env) error {
	c, _, err := r.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	e, err := c.RevokeEnrollment(ctx, r.Token)
	if err != nil {
		return noSuch("enrolment token", r.Token, err)
	}
	return r.print(env.Stdout, e, func(w io.Writer) error {
		return fields(w, "id", e.ID, "name", e.Name, "remaining", remaining(e), "expires", expiry(e), "revoked", yesNo(e.Revoked), "tags", strings.Join(e.Tags, ", "))
	})
}

func remaining(e client.Enrollment) string {
	if e.Remaining == nil {
		return "any"
	}
	return strconv.Itoa(*e.Remaining)
}

func expiry(e client.Enrollment) string {
	if e.Expires.IsZero() {
		return "never"
	}
	return when(e.Expires)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
