// Package e2e holds the tests that span rooms: a real server and real agents,
// built from cmd, as processes of their own, reached by sockets and the public
// API alone.
package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"swab/api"
	"swab/api/contract"
	"swab/client"
	"swab/internal/store/storetest"
	"swab/test/installation"
)

var programs installation.Programs

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "swab-e2e-")
	if err == nil {
		programs, err = installation.Build(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// install starts a server and one agent, and returns the device's id.
func install(t *testing.T, flags ...string) (*installation.Installation, *client.Client, string) {
	t.Helper()
	in := server(t, flags...)
	must(t, in.StartAgent("a"))
	ids, err := in.AwaitDevices(within(t, 30*time.Second), 1)
	must(t, err)
	return in, connect(t, in), ids[0]
}

func server(t *testing.T, flags ...string) *installation.Installation {
	t.Helper()
	in, err := installation.New(programs, t.TempDir())
	must(t, err)
	in.Flags = flags
	described, err := contract.Read(api.Document())
	must(t, err)
	in.Wrap = func(next http.RoundTripper) http.RoundTripper {
		return described.Watch(next, func(err error) { t.Error(err) }) // every answer is held against the API's description
	}
	if os.Getenv(storetest.Variable) == "postgres" {
		in.Database = storetest.Postgres(t)
	}
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, f := range []string{"server.log", "agent-a.log"} {
				if text, err := os.ReadFile(filepath.Join(in.Dir, f)); err == nil {
					t.Logf("%s, its end:\n%s", f, text[max(0, len(text)-4000):])
				}
			}
		}
	})
	must(t, in.StartServer(within(t, 30*time.Second)))
	return in
}

func connect(t *testing.T, in *installation.Installation) *client.Client {
	t.Helper()
	c, err := in.Client()
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

// within is the test's context with a deadline.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// swab runs the command line and returns its exit code and what it printed.
func swab(t *testing.T, in *installation.Installation, args ...string) (int, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), programs.Server, args...)
	cmd.Env = append(os.Environ(), "SWAB_CREDENTIALS="+filepath.Join(in.Data, "bootstrap.json"))
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("swab %v: %v", args, err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// succeed asks for a package and waits for it.
func succeed(t *testing.T, c *client.Client, device string) client.Action {
	t.Helper()
	a, err := c.Collect(within(t, 10*time.Second), device, client.CollectRequest{Comment: "alert 1234"})
	must(t, err)
	a, err = c.Wait(within(t, 60*time.Second), a.ID)
	must(t, err)
	if a.Status != client.Succeeded {
		t.Fatalf("action %s is %s: %s", a.ID, a.Status, a.Trouble)
	}
	return a
}

// keep downloads an action's package and receipt and returns the package's file.
func keep(t *testing.T, c *client.Client, action string) string {
	t.Helper()
	zip, receipt, err := installation.Download(within(t, 60*time.Second), c, action)
	must(t, err)
	name := filepath.Join(t.TempDir(), action+".zip")
	must(t, os.WriteFile(name, zip, 0o600))
	must(t, os.WriteFile(name+".receipt", receipt, 0o600))
	return name
}
