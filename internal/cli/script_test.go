package cli_test

import (
	"context"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"swab/internal/cli"
	"swab/internal/command"
	"swab/internal/command/commandtest"
)

var _ = flag.Bool("update", false, "rewrite what the scripts compare with")

func swab(ctx context.Context, args []string, env command.Env) int { return cli.Main(ctx, args, env) }

func TestMain(m *testing.M) {
	commandtest.Main(m, os.Exit, map[string]commandtest.Program{"swab": swab})
}

// Each script has a server of its own, whose files lie in its folder.
func TestScripts(t *testing.T) {
	commandtest.Scripts(t, "testdata/script", func(env *testscript.Env) error {
		s := startService(newFixture())
		env.Defer(s.Close)
		s.files(env.WorkDir)
		env.Setenv("DEVICE", string(deviceID()))
		env.Setenv("ACTION", actionID)
		env.Setenv("API", s.URL)
		return nil
	})
}

// A script can't show the raw bytes that must not be there.
func TestNothingThatATerminalObeysIsPrinted(t *testing.T) {
	s := startService(newFixture())
	defer s.Close()
	dir := t.TempDir()
	s.files(dir)
	t.Chdir(dir)
	for _, args := range []string{
		"audit list --credentials bootstrap.json", "audit list --credentials bootstrap.json --json", "audit show 4 --credentials bootstrap.json", "device list", "device list --json", "enrollment list",
		"hold add --device web1 --reason x", "hold list",
		"user create ann@contoso.example --name ann\x1b[2J\u202eexample", "user list", "user sessions ann@contoso.example",
		"show good.zip", "show good.zip --json", "show good.zip Processes/processes", "show good.zip processes --csv",
		"verify good.zip --json", "verify good.zip --device " + string(deviceID()),
	} {
		got := commandtest.Call(t.Context(), swab, []string{"SWAB_CREDENTIALS=bootstrap.json"}, strings.Fields(args)...)
		if got.Code != 0 || strings.ContainsAny(got.Stdout+got.Stderr, "\x1b\a\u202e") {
			t.Errorf("swab %s: code %d\n%q\n%q", args, got.Code, got.Stdout, got.Stderr)
		}
		if strings.HasPrefix(args, "device list") && !strings.Contains(got.Stdout, `web1\u202etxt.`) {
			t.Errorf("swab %s does not show the device's name as it is:\n%s", args, got.Stdout)
		}
	}
}
