package clients

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"swab/client"
)

// desk is the command line of a person: a process of its own for each command,
// and the file that keeps the sign-in.
type desk struct {
	*testing.T
	program, file string
}

func (h *house) desk(t *testing.T) *desk {
	return &desk{t, h.Programs.Server, filepath.Join(t.TempDir(), "settings", "sign-in.json")}
}

func (d *desk) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(within(d.T, time.Minute), d.program, args...)
	cmd.Env = append(os.Environ(), "SWAB_SIGN_IN="+d.file)
	return cmd
}

// run runs a command to its end, and returns what it printed.
func (d *desk) run(args ...string) (out, errs string, err error) {
	cmd := d.command(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

// login signs in, with a person at a browser who does what the command asks.
func (d *desk) login(s site, ask asking, more ...string) {
	d.Helper()
	cmd := d.command(append([]string{"login", "--api-base", s.API, "--tenant", s.Tenant, "--ca-file", s.CA}, more...)...)
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	stderr, err := cmd.StderrPipe()
	must(d.T, err)
	must(d.T, cmd.Start())
	said := bufio.NewScanner(stderr)
	for said.Scan() {
		line := said.Text()
		if rest, ok := strings.CutPrefix(line, "Open http"); ok {
			address, code, _ := strings.Cut("http"+rest, " in a browser and type ")
			ask("device", address, code)
		} else if strings.HasPrefix(line, "https://") {
			ask("open", line, "")
		}
	}
	if err := cmd.Wait(); err != nil || !strings.HasPrefix(stdout.String(), "Signed in as ann@example.com at "+s.API) {
		d.Fatalf("swab login: %v\n%s", err, stdout.String())
	}
}

// A person's command line signs in by both ways, does what the person may, goes
// on when its access token has run out, however many commands run at once, and
// signs out.
func TestCommandLineSignsIn(t *testing.T) {
	in := install(t)
	ann, _ := in.people(t)
	cred, err := in.Credentials()
	must(t, err)
	s := site{API: cred.APIBase, Authority: cred.Authority, Tenant: cred.TenantID, CA: cred.CAFile}
	for name, more := range map[string][]string{"browser": nil, "device code": {"--device-code"}} {
		t.Run(name, func(t *testing.T) {
			d := in.desk(t)
			if _, errs, err := d.run("device", "list"); err == nil || !strings.Contains(errs, "nobody is signed in: use swab login") {
				t.Fatalf("before: %v, %s", err, errs)
			}
			d.login(s, in.person(t, ann), more...)
			if info, err := os.Stat(d.file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the file of the sign-in: %v, %v; want its mode 0600", info, err)
			}
			out, errs, err := d.run("device", "list", "--json")
			var devices []struct{ ID string }
			if err != nil || json.Unmarshal([]byte(out), &devices) != nil || len(devices) != 2 {
				t.Fatalf("device list: %v, %s%s", err, out, errs)
			}
			if out, errs, err := d.run("collect", in.device.ID, "--comment", "alert 1234", "--output", filepath.Join(t.TempDir(), "package.zip")); err != nil {
				t.Errorf("collect: %v, %s%s", err, out, errs)
			}
			if _, errs, err := d.run("user", "list"); err == nil || !strings.Contains(errs, "Missing user roles. API required roles: Manage portal system settings") {
				t.Errorf("what the person may not do: %v, %s", err, errs)
			}
			d.runOut()
			var all sync.WaitGroup
			for range 6 {
				all.Go(func() {
					if out, errs, err := d.run("device", "list"); err != nil {
						t.Errorf("after the token has run out: %v, %s%s", err, out, errs)
					}
				})
			}
			all.Wait()
			kept := d.kept()
			if out, errs, err := d.run("logout"); err != nil || out != "Signed out: ann@example.com\n" {
				t.Errorf("logout: %v, %s%s", err, out, errs)
			}
			if _, err := os.Stat(d.file); !os.IsNotExist(err) {
				t.Errorf("the file is still there: %v", err)
			}
			d.worthless(s, kept)
		})
	}
}

func (d *desk) kept() map[string]any {
	d.Helper()
	text, err := os.ReadFile(d.file)
	must(d.T, err)
	var kept map[string]any
	must(d.T, json.Unmarshal(text, &kept))
	return kept
}

// runOut makes the access token one that has run out.
func (d *desk) runOut() {
	d.Helper()
	kept := d.kept()
	kept["grant"].(map[string]any)["expires"] = "2026-01-01T00:00:00Z"
	text, err := json.Marshal(kept)
	must(d.T, err)
	must(d.T, os.WriteFile(d.file, text, 0o600))
}

// worthless sees to it that what was kept of a sign-in opens nothing any more.
func (d *desk) worthless(s site, kept map[string]any) {
	d.Helper()
	grant := kept["grant"].(map[string]any)
	in, err := client.NewSignIn(client.Config{BaseURL: s.API, Authority: s.Authority, CAFile: s.CA})
	must(d.T, err)
	defer in.Close()
	if _, err := in.Refresh(d.Context(), client.Grant{RefreshToken: grant["refreshToken"].(string)}); err == nil {
		d.Error("the refresh token is still good after logout")
	}
	c, err := client.New(client.Config{BaseURL: s.API, Authority: s.Authority, CAFile: s.CA, Tokens: fixed(grant["accessToken"].(string))})
	must(d.T, err)
	defer c.Close()
	if _, err := c.Machines(d.Context(), client.Page{}); err == nil {
		d.Error("the access token is still good after logout")
	}
}

// fixed is one token, whatever is asked for.
type fixed string

// Token returns it.
func (f fixed) Token(context.Context, string) (string, error) { return string(f), nil }
