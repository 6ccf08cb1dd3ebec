// Package command runs a program's commands: it reads flags, environment and a
// YAML file into one struct each, and gives the command its surroundings.
//
// A command is a value with a kong grammar; the list of commands is written out
// by main and handed to [Main]. Nothing registers itself.
//
// # Settings
//
// A command's struct is the single truth about its settings. A field is a flag;
// its env tag names the variable that may give it instead; where the struct has
// a field of type [ConfigFile], a YAML file may give it as well, under the
// flag's name. A flag wins over a variable, a variable over the file, the file
// over the default. A key of the file that is no flag of the command is an
// error, and whatever is wrong is reported at once, a line each.
//
// A field of type [Secret] is not taken from the command line, where every user
// of the machine can read it, and prints as ***.
//
// # Exit codes
//
// 0 is success, 1 a failure, 2 a command line or settings that can't be run. A
// command that means something else by its code returns an [ExitError].
package command

import (
	"context"
	"io"
	"os"
	"slices"
	"time"
)

// Env is the surroundings of a command. A test passes its own, and so runs any
// command in its own process and reads what it printed.
type Env struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
	Now    func() time.Time
}

// System is the surroundings of a real process.
func System() Env {
	return Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Now: time.Now}
}

// Runner is a command's settings, with kong's tags on its fields, and what it does.
// The fields are the single truth: flags, variables, file keys and help come from them.
// It is a pointer to a struct. What its Help method returns, if it has one, is
// shown below its flags' summary.
type Runner interface {
	Run(ctx context.Context, env Env) error
}

// Checker is a Runner that judges its settings together before it is run. It
// returns all that is wrong, joined by [errors.Join].
type Checker interface {
	Check() error
}

// Command is one command, or a noun with verbs under it.
type Command struct {
	Name  string
	Help  string
	Run   func() Runner // a fresh set of settings; nil for a noun
	Verbs []Command     // of a noun
}

// Join is the commands of several lists as one. Where two have a noun, it has the
// verbs of both.
func Join(lists ...[]Command) []Command {
	var all []Command
	for _, c := range slices.Concat(lists...) {
		i := slices.IndexFunc(all, func(noun Command) bool { return noun.Name == c.Name && noun.Run == nil && c.Run == nil })
		if i < 0 {
			all = append(all, c)
			continue
		}
		all[i].Verbs = slices.Concat(all[i].Verbs, c.Verbs)
	}
	return all
}

// ExitError is an error with the exit code that it means.
type ExitError struct {
	Code int
	Err  error // nil: nothing is printed
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *ExitError) Unwrap() error { return e.Err }
