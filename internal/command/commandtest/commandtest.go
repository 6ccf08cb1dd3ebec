// Package commandtest runs a program's commands in tests: as scripts that read
// like a transcript of a shell, and as calls in the test's own process.
package commandtest

import (
	"bytes"
	"context"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"swab/internal/command"
)

// Program is a program as its cmd folder has it: all but its name.
type Program func(ctx context.Context, args []string, env command.Env) int

// Main is a package's TestMain: it runs the tests, or one of the programs, when
// a script has called the test binary by a program's name. exit is os.Exit.
func Main(m *testing.M, exit func(int), programs map[string]Program) {
	commands := map[string]func(){}
	for name, program := range programs {
		commands[name] = func() { exit(program(context.Background(), os.Args[1:], command.System())) }
	}
	testscript.Main(m, commands)
}

// update is read when a script runs, so a package may have a flag -update of its own.
func update() bool {
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

// Scripts runs the scripts of a folder. The environment of each is empty but
// for what setup adds to it, so that the machine's SWAB_ variables change
// nothing. With the test flag -update, where the package has one, what a script
// compares with is rewritten.
func Scripts(t *testing.T, dir string, setup func(*testscript.Env) error) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       update(),
		Setup: func(env *testscript.Env) error {
			env.Setenv("COLUMNS", "100")
			if setup == nil {
				return nil
			}
			return setup(env)
		},
	})
}

// Result is what came of one call.
type Result struct {
	Code   int
	Stdout string
	Stderr string
}

// Call runs a program in this process with the variables given, each NAME=VALUE,
// and no others.
func Call(ctx context.Context, program Program, variables []string, args ...string) Result {
	var stdout, stderr bytes.Buffer
	code := program(ctx, args, command.Env{
		Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Now: time.Now,
		Getenv: func(name string) string {
			for _, v := range variables {
				if value, ok := strings.CutPrefix(v, name+"="); ok {
					return value
				}
			}
			return ""
		},
	})
	return Result{Code: code, Stdout: stdout.String(), Stderr: stderr.String()}
}
