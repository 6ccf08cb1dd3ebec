package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// The exit codes that every command has.
const (
	ExitOK      = 0
	ExitFailure = 1
	ExitUsage   = 2
)

// Main runs the command that args (without the program's name) ask for, and
// returns the program's exit code. What goes wrong is told on env.Stderr, a line
// each, as "name: what".
func Main(ctx context.Context, args []string, env Env, name string, commands []Command) int {
	err := run(ctx, args, env, name, commands)
	if err == nil {
		return ExitOK
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	for _, e := range flatten(err) {
		if text := Printable(e.Error()); text != "" {
			fmt.Fprintf(env.Stderr, "%s: %s\n", name, text)
		}
	}
	if exit, ok := errors.AsType[*ExitError](err); ok {
		return exit.Code
	}
	if errors.As(err, new(*usageError)) {
		return ExitUsage
	}
	return ExitFailure
}

// usageError is a command line, or settings, that can't be run.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// flatten returns the errors that were joined into err, in order.
func flatten(err error) []error {
	switch e := err.(type) { //nolint:errorlint // each layer is looked at by itself
	case *usageError:
		return flatten(e.error)
	case interface{ Unwrap() []error }:
		// fmt.Errorf with several %w has a text of its own; errors.Join has
		// but the texts of its parts, a line each.
		var texts []string
		for _, part := range e.Unwrap() {
			texts = append(texts, part.Error())
		}
		if err.Error() != strings.Join(texts, "\n") {
			return []error{err}
		}
		var all []error
		for _, part := range e.Unwrap() {
			all = append(all, flatten(part)...)
		}
		return all
	default:
		return []error{err}
	}
}

func run(ctx context.Context, args []string, env Env, name string, commands []Command) error {
	p, err := newParser(env.Stdout, name, commands)
	if err != nil {
		return err
	}
	runner, err := p.parse(args, env.Getenv)
	if err != nil {
		return &usageError{err}
	}
	if runner == nil {
		return nil // help was asked for, and given
	}
	return runner.Run(ctx, env)
}

// parser reads settings. What is wrong with single values is gathered, so that
// one run tells all of it.
type parser struct {
	kong     *kong.Kong
	envs     map[*kong.Value][]string // kong's own look-up, in the process's environment, is taken away
	source   string                   // where the values being read come from, for messages; "" for a flag
	problems []error
}

func newParser(stdout io.Writer, name string, commands []Command) (*parser, error) {
	grammar, err := grammarOf(commands)
	if err != nil {
		return nil, err
	}
	p := &parser{envs: map[*kong.Value][]string{}}
	k, err := kong.New(grammar,
		kong.Name(name),
		kong.Writers(stdout, io.Discard),
		kong.Exit(func(int) {}), // never called: help is looked for in the trace
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ValueFormatter(describe),
		kong.Description("Exit codes: 0 success, 1 failure, 2 a command line or settings that can't be run; a command that has others says so in its help."),
	)
	if err != nil {
		return nil, fmt.Errorf("the grammar of %s: %w", name, err)
	}
	p.kong = k
	err = kong.Visit(k.Model.Node, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok && flag != k.Model.HelpFlag {
			p.adopt(flag)
		}
		return next(nil)
	})
	return p, err
}

// parse returns the command to run with its settings, or nil where help was
// asked for and printed.
func (p *parser) parse(args []string, getenv func(string) string) (Runner, error) {
	trace, err := kong.Trace(p.kong, args)
	if err != nil {
		return nil, err
	}
	for _, path := range trace.Path {
		if path.Flag != nil && path.Flag == p.kong.Model.HelpFlag {
			return nil, trace.PrintUsage(false)
		}
	}
	hint := fmt.Sprintf("%q tells more", strings.TrimSpace(commandPath(trace))+" --help")
	if trace.Error != nil {
		return nil, errors.Join(append(p.problems, fmt.Errorf("%w; %s", trace.Error, hint))...)
	}
	node := trace.Selected()
	if node == nil {
		return nil, fmt.Errorf("which command? %s", hint)
	}
	runner, ok := node.Target.Addr().Interface().(Runner)
	if !ok {
		return nil, fmt.Errorf("%s needs a verb; %s", node.Name, hint)
	}
	if err := trace.Reset(); err != nil {
		return nil, err
	}
	file, err := p.file(trace, node, getenv)
	if err != nil {
		p.problems = append(p.problems, err)
	}
	trace.AddResolver(file)
	trace.AddResolver(p.environment(getenv)) // the last one that knows a value wins
	if err := trace.Resolve(); err != nil {
		return nil, errors.Join(append(p.problems, err)...)
	}
	p.source = ""
	if _, err := trace.Apply(); err != nil {
		return nil, err
	}
	if err := trace.Validate(); err != nil {
		p.problems = append(p.problems, fmt.Errorf("%w; %s", err, hint))
	}
	if c, ok := runner.(Checker); ok {
		if err := c.Check(); err != nil {
			p.problems = append(p.problems, err)
		}
	}
	return runner, errors.Join(p.problems...)
}

// commandPath is the program's name and the commands chosen so far.
func commandPath(trace *kong.Context) string {
	path := trace.Model.Name
	for _, p := range trace.Path {
		if p.Command != nil {
			path += " " + p.Command.Name
		}
	}
	return path
}

// Read returns a command's settings as args would give them, with the defaults
// of all others and no environment: for a program that starts another command's
// work by itself.
func Read(c Command, args ...string) (Runner, error) {
	p, err := newParser(io.Discard, c.Name, []Command{c})
	if err != nil {
		return nil, err
	}
	r, err := p.parse(append([]string{c.Name}, args...), func(string) string { return "" })
	if err == nil && r == nil {
		err = errors.New("help is no setting")
	}
	return r, err
}
