// Package command runs a program's commands: it reads flags, environment and a
// YAML file into one struct each, and gives the command its surroundings.
//
// A command is a value with a kong grammar; the list of commands is written out
// by main and handed to [Main]. Nothing registers itself.
package command

import (
	"context"
	"io"
	"os"
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
type Runner interface {
	Run(ctx context.Context, env Env) error
}

// Command is one command, or a noun with verbs under it.
type Command struct {
	Name  string
	Help  string
	Run   func() Runner // a fresh set of settings; nil for a noun
	Verbs []Command     // of a noun
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
