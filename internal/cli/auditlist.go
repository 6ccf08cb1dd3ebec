package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"swab/client"
	"swab/internal/command"
)

type auditList struct {
	Since       string   `help:"Those from then on: a time (2026-03-01T12:00:00Z), a date (from its beginning, UTC), or how long ago (24h, 7d)." placeholder:"WHEN"`
	Until       string   `help:"Those before then." placeholder:"WHEN"`
	Act         []string `help:"Those of this act, such as action.collect; user.* is every act that begins so. May be repeated." sep:"none" placeholder:"ACT"`
	User        string   `help:"Those of the person of this name." placeholder:"NAME"`
	Who         string   `help:"Those of this caller: its kind and id, such as application/ID." placeholder:"KIND/ID"`
	Object      string   `help:"Those that acted on the object of this id." placeholder:"ID"`
	Device      string   `help:"Those that concern this device: its id, full name or host name." placeholder:"DEVICE"`
	Result      string   `enum:",done,refused" default:"" help:"Those that were done, or those that were refused." placeholder:"done|refused"`
	Correlation string   `help:"Those of the request of this id." placeholder:"ID"`
	Top         int      `help:"Most entries to list." default:"100"`
	connection
	output
}

func (*auditList) Help() string {
	return "Lists entries for which all that is asked for holds. Each has the number that swab audit show takes. " +
		"What it prints is the server's word: swab audit show proves an entry, swab audit verify the whole log. Searching the log is an entry in it. " +
		"A search over a very long log that no index serves is given up after two seconds: --since and --until narrow it down."
}

// Check judges the settings together.
func (a *auditList) Check() error {
	if a.Top < 1 {
		return errors.New("--top: at least 1")
	}
	return nil
}

// maxFound is the most entries of one page.
const maxFound = 1000

func (a *auditList) Run(ctx context.Context, env command.Env) error {
	search := client.AuditSearch{
		Acts: a.Act, Who: a.Who, User: a.User, Object: a.Object, Device: a.Device, Result: a.Result, Correlation: a.Correlation, Top: min(a.Top, maxFound),
	}
	for _, bound := range []struct {
		flag, text string
		to         *time.Time
	}{{"--since", a.Since, &search.Since}, {"--until", a.Until, &search.Until}} {
		var err error
		if *bound.to, err = past(bound.flag, bound.text, env.Now()); err != nil {
			return err
		}
	}
	c, _, err := a.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	entries := []client.AuditRecord{}
	for e, err := range c.AllAudit(ctx, search) {
		if err != nil {
			return noSuch("device", a.Device, err)
		}
		if entries = append(entries, e); len(entries) == a.Top {
			break
		}
	}
	return a.print(env.Stdout, entries, func(w io.Writer) error {
		rows := make([][]string, len(entries))
		for i, e := range entries {
			rows[i] = []string{indexOf(e), when(e.Time), e.Result, e.Act, callerOf(e.Who, e.Name), e.From, e.Object, detailOf(e)}
		}
		return tableWithin(w, width(env.Stdout), 4, "INDEX TIME RESULT ACT WHO FROM OBJECT DETAIL", rows)
	})
}

// past is a moment that a flag names, the zero time where it names none.
func past(flag, s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.UTC().AddDate(0, 0, -int(n)), nil
		}
	}
	if ago, err := time.ParseDuration(s); err == nil && ago >= 0 {
		return now.UTC().Add(-ago), nil
	}
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(form, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%s: %q is not a time such as 2026-03-01T12:00:00Z, a date, or how long ago, such as 24h or 7d", flag, s)
}

func indexOf(e client.AuditRecord) string {
	if e.Index == nil {
		return "" // it gets one in a moment
	}
	return strconv.FormatInt(*e.Index, 10)
}

// callerOf is a caller by kind and name: a name alone may be chosen to look like
// another's. One without a name is known by its id.
func callerOf(who, name string) string {
	kind, _, _ := strings.Cut(who, "/")
	switch name {
	case "":
		return who
	case kind:
		return kind
	}
	return kind + " " + name
}

// detailOf is what else there is to say of an entry, in one line.
func detailOf(e client.AuditRecord) string {
	var parts []string
	for _, part := range []string{e.Trouble, e.Detail, changesOf(e.Changes, e.Omitted), e.Comment} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if e.Trouble != "" {
		parts[0] = "NOT TO BE BELIEVED: " + parts[0]
	}
	return strings.Join(parts, "; ")
}

// changesOf is what changed, in one line: name: a → b, roles: +x −y.
func changesOf(changes []client.AuditChange, omitted int) string {
	var parts []string
	for _, c := range changes {
		parts = append(parts, c.Field+": "+changeOf(c))
	}
	if omitted > 0 {
		parts = append(parts, fmt.Sprintf("and %d more fields", omitted))
	}
	return strings.Join(parts, ", ")
}

func changeOf(c client.AuditChange) string {
	var text string
	switch {
	case len(c.From) == 0 && len(c.To) == 0 && c.Omitted == 0:
		return "changed"
	case len(c.From) == 1 && len(c.To) == 1:
		text = c.From[0] + " → " + c.To[0]
	default:
		var parts []string
		for _, v := range c.To {
			parts = append(parts, "+"+v)
		}
		for _, v := range c.From {
			parts = append(parts, "−"+v)
		}
		text = strings.Join(parts, " ")
	}
	if c.Omitted > 0 {
		text += fmt.Sprintf(" and %d more", c.Omitted)
	}
	return text
}
