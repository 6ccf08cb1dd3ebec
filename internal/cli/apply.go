package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"swab/client"
	"swab/internal/accessfile"
	"swab/internal/command"
)

// exitDiffers is the exit code of a dry run that found differences.
const exitDiffers = 3

type apply struct {
	File          string `short:"f" help:"The file; - for standard input." required:"" placeholder:"FILE"`
	Yes           bool   `help:"Make the changes without asking."`
	DryRun        bool   `name:"dry-run" help:"Show the differences, and change nothing."`
	RevokeMissing bool   `name:"revoke-missing" help:"Revoke applications and issuers that the file does not name, for good. Default: they are shown, and left as they are."`
	connection
	output
}

func (*apply) Help() string {
	return "Makes who may do what as a file says: user groups, users, roles, device groups, applications and issuers, those of these sections that the file has; docs/access.md describes it. " +
		"The differences are shown first, and made one after another when you have said yes: what is not in a section is removed, users are disabled. " +
		"A change that fails ends it; the same command goes on from there. Once more, it changes nothing. " +
		"Exits with 0 where there was nothing to do or all was done, 1 where a change failed or you said no, 2 where there is nobody to ask, 3 where --dry-run found differences. Changes of applications, and the section issuers, take the role Administrator of a person." + administers
}

// Check judges the settings together.
func (a *apply) Check() error {
	if a.JSON && !a.Yes && !a.DryRun {
		return errors.New("--json asks nobody: give --yes or --dry-run as well")
	}
	return nil
}

func (a *apply) Run(ctx context.Context, env command.Env) error {
	want, err := readAccessFile(env, a.File)
	if err != nil {
		return err
	}
	c, own, err := a.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	have, err := readPresent(ctx, c, needs(want.Has()))
	if err != nil {
		return err
	}
	changes, err := accessfile.Diff(have.file, want, accessfile.Options{RevokeMissing: a.RevokeMissing})
	if err == nil {
		err = a.spare(env, changes, own.ClientID)
	}
	if err != nil {
		return inFile(a.File, err)
	}
	work := &applying{applier: &applier{c: c, want: want, present: have}, changes: changes, made: make([]bool, len(changes))}
	if !a.JSON {
		if err := work.showDiff(env.Stdout); err != nil {
			return err
		}
	}
	switch err := a.consent(env, work.todo()); {
	case err != nil && a.JSON:
		return errors.Join(a.print(env.Stdout, work.report(nil), nil), err)
	case err != nil:
		return err
	}
	failed := work.run(ctx)
	if a.JSON {
		return errors.Join(a.print(env.Stdout, work.report(failed), nil), failed)
	}
	return errors.Join(work.showResult(env.Stdout), failed)
}

// spare refuses changes that would shut out whoever makes them: those after could
// not be made, and nor could a mistake be mended.
func (a *apply) spare(env command.Env, changes []accessfile.Change, app string) error {
	who := ""
	if a.asPerson() {
		file, err := a.path(env)
		if err != nil {
			return err
		}
		kept, err := file.read()
		if err != nil {
			return err
		}
		who = kept.Grant.Principal
	}
	for _, ch := range changes {
		if ch.Verb != accessfile.Remove {
			continue
		}
		switch {
		case ch.Kind == accessfile.OfUser && strings.EqualFold(ch.Name, who):
			return fmt.Errorf("it would disable %s, who applies it: name them, or let somebody else apply it", ch.Name)
		case ch.Kind == accessfile.OfApplication && ch.ID == app:
			return fmt.Errorf("it would revoke the application %s, by which it is applied: name that, or apply it as another", ch.Name)
		}
	}
	return nil
}

// readAccessFile reads and judges the file.
func readAccessFile(env command.Env, name string) (accessfile.File, error) {
	in := env.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return accessfile.File{}, err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, accessfile.MaxFile+1))
	if err != nil {
		return accessfile.File{}, inFile(name, err)
	}
	file, err := accessfile.Parse(data)
	return file, inFile(name, err)
}

// inFile puts a file's name before each of some errors.
func inFile(name string, err error) error {
	if err == nil {
		return nil
	}
	var all []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		all = append(all, fmt.Errorf("%s: %s", name, line))
	}
	return errors.Join(all...)
}

// consent is nil where so many changes shall be made.
func (a *apply) consent(env command.Env, todo int) error {
	_, asked := terminal(env.Stdin)
	switch {
	case todo == 0:
		return nil
	case a.DryRun:
		return &command.ExitError{Code: exitDiffers}
	case a.Yes:
		return nil
	case !asked:
		return &command.ExitError{Code: command.ExitUsage, Err: errors.New("standard input is no terminal, so nobody can be asked: give --yes to make the changes, or --dry-run to see them alone")}
	}
	fmt.Fprintf(env.Stderr, "Make %s? [y/N] ", count(todo, "change"))
	answer, err := readLine(env.Stdin)
	if err != nil {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// applying is the way through the changes.
type applying struct {
	*applier
	changes []accessfile.Change
	made    []bool
}

// todo is how many changes there are to make.
func (w *applying) todo() (n int) {
	for _, ch := range w.changes {
		if ch.Verb != accessfile.Stray {
			n++
		}
	}
	return n
}

func (w *applying) showDiff(out io.Writer) error {
	if len(w.changes) == 0 {
		_, err := fmt.Fprintln(out, "Nothing differs")
		return err
	}
	for _, ch := range w.changes {
		if _, err := fmt.Fprintln(out, command.Printable(ch.String())); err != nil {
			return err
		}
	}
	return nil
}

// run makes the changes in their order, and stops at one that fails. Its error
// says which were made and which were not.
func (w *applying) run(ctx context.Context) error {
	for i, ch := range w.changes {
		if ch.Verb == accessfile.Stray {
			continue
		}
		if err := w.do(ctx, ch); err != nil {
			if ctx.Err() != nil {
				err = errors.New("interrupted")
			}
			return w.stopped(i, err)
		}
		w.made[i] = true
	}
	return nil
}

// stopped is the error of a change that failed, with a line for each of the
// others.
func (w *applying) stopped(at int, err error) error {
	if _, refused := errors.AsType[*client.Error](err); !refused {
		err = fmt.Errorf("%w; it may have been made all the same", err)
	}
	all := []error{fmt.Errorf("%s: %w", w.changes[at], err)}
	for i, ch := range w.changes {
		switch {
		case ch.Verb == accessfile.Stray || i == at:
		case w.made[i]:
			all = append(all, fmt.Errorf("made: %s", ch))
		default:
			all = append(all, fmt.Errorf("not made: %s", ch))
		}
	}
	return errors.Join(all...)
}

// showResult says what was made, and what is told here alone.
func (w *applying) showResult(out io.Writer) error {
	done := 0
	for _, made := range w.made {
		if made {
			done++
		}
	}
	if done > 0 {
		if _, err := fmt.Fprintf(out, "\n%s made\n", count(done, "change")); err != nil {
			return err
		}
	}
	if len(w.apps) > 0 {
		rows := make([][]string, len(w.apps))
		for i, app := range w.apps {
			rows[i] = []string{app.ClientID, app.Name, secretHint(app)}
		}
		fmt.Fprintln(out)
		if err := table(out, "CLIENT-ID APPLICATION SECRET", rows); err != nil {
			return err
		}
	}
	if len(w.passwords) == 0 {
		return nil
	}
	rows := make([][]string, len(w.passwords))
	for i, p := range w.passwords {
		rows[i] = []string{p.Principal, p.Password}
	}
	fmt.Fprintln(out, "\nThese are shown here and never again; each user sets another at the first sign-in:")
	return table(out, "USER INITIAL-PASSWORD", rows)
}

func secretHint(app newApplication) string {
	if app.Public {
		return "needs none"
	}
	return "swab app secret add " + app.ClientID
}

// report is the way in JSON.
type report struct {
	Changes          []reportedChange  `json:"changes"`
	InitialPasswords []initialPassword `json:"initialPasswords"` // of new users: shown here and never again
	Applications     []newApplication  `json:"applications"`     // that were made
	Error            string            `json:"error,omitempty"`  // why it stopped
}

// reportedChange is a change in JSON.
type reportedChange struct {
	Verb string          `json:"verb"` // add, change, remove, or stray: not in the file and left as it is
	Kind accessfile.Kind `json:"kind"`
	Name string          `json:"name"`
	Text string          `json:"text"` // the line of the differences
	Made bool            `json:"made"`
}

var verbs = map[accessfile.Verb]string{accessfile.Add: "add", accessfile.Alter: "change", accessfile.Remove: "remove", accessfile.Stray: "stray"}

func (w *applying) report(failed error) report {
	r := report{
		Changes: []reportedChange{}, InitialPasswords: append([]initialPassword{}, w.passwords...), Applications: append([]newApplication{}, w.apps...),
	}
	for i, ch := range w.changes {
		r.Changes = append(r.Changes, reportedChange{verbs[ch.Verb], ch.Kind, ch.Name, ch.String(), w.made[i]})
	}
	if failed != nil {
		r.Error, _, _ = strings.Cut(failed.Error(), "\n")
	}
	return r
}

type accessExport struct {
	Output  string   `short:"o" help:"Write to this file, which must not be there yet. Default: standard output." placeholder:"FILE"`
	Section []string `help:"A section to write, once for each: userGroups, users, roles, deviceGroups, applications, issuers. Default: all." sep:"none" placeholder:"SECTION"`
	output
	connection
}

func (*accessExport) Help() string {
	return "Writes who may do what as a file that swab apply takes: applied, it changes nothing. It holds no password, secret or certificate. The section issuers takes the role Administrator of a person." + administers
}

// Check judges the settings together.
func (e *accessExport) Check() error {
	for _, s := range e.Section {
		if !slices.Contains(accessfile.Sections, s) {
			return fmt.Errorf("--section: there is none %.60q; there are %s", s, strings.Join(accessfile.Sections, ", "))
		}
	}
	return nil
}

func (e *accessExport) Run(ctx context.Context, env command.Env) error {
	sections := e.Section
	if len(sections) == 0 {
		sections = accessfile.Sections
	}
	c, _, err := e.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	have, err := readPresent(ctx, c, needs(sections))
	if e, ok := errors.AsType[*client.Error](err); ok && e.Code == client.CodeForbidden {
		return fmt.Errorf("%w; --section leaves out what you may not see", err)
	}
	if err != nil {
		return err
	}
	text := accessfile.Write(have.file.Only(sections))
	if _, err := accessfile.Parse(text); err != nil {
		return errors.Join(inFile("swab apply would not take this", err), errors.New("--section writes a part"))
	}
	if e.JSON { // which is YAML as well, so swab apply takes it
		var document any
		if err := yaml.Unmarshal(text, &document); err != nil {
			return err
		}
		if text, err = json.MarshalIndent(document, "", "  "); err != nil {
			return err
		}
		text = append(safeJSON(text), '\n')
	}
	if e.Output == "" {
		_, err := env.Stdout.Write(text)
		return err
	}
	f, err := os.OpenFile(e.Output, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
