package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"swab/internal/accessfile"
	"swab/internal/command/commandtest"
)

// call runs a command in a folder that has the files of a new server.
func callIn(t *testing.T) func(args ...string) commandtest.Result {
	t.Helper()
	s := startService(newFixture())
	t.Cleanup(s.Close)
	dir := t.TempDir()
	s.files(dir)
	return func(args ...string) commandtest.Result {
		t.Helper()
		return commandtest.Call(t.Context(), swab, []string{"SWAB_CREDENTIALS=" + filepath.Join(dir, "bootstrap.json")}, args...)
	}
}

// Pipelines branch on these.
func TestExitCodesOfApply(t *testing.T) {
	call := callIn(t)
	write := func(text string) string {
		name := filepath.Join(t.TempDir(), "access.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	groups, refused := write("userGroups: [{name: Tier 1}]"), write("roles: [{name: Refused}]")
	for _, tc := range []struct {
		args string
		code int
	}{
		{"apply -f " + groups + " --dry-run", 3},
		{"apply -f " + groups + " --dry-run --json", 3},
		{"apply -f " + groups, 2},
		{"apply -f " + groups + " --json", 2},
		{"apply -f " + groups + " --yes", 0},
		{"apply -f " + groups + " --dry-run", 0},
		{"apply -f " + groups, 0}, // nobody need be asked
		{"apply -f " + refused + " --yes", 1},
		{"apply -f " + refused + " --yes --json", 1},
		{"apply -f " + write("role: []") + " --yes", 1},
		{"apply --yes", 2},
	} {
		if got := call(strings.Fields(tc.args)...); got.Code != tc.code {
			t.Errorf("swab %s: exit code %d, want %d\n%s%s", tc.args, got.Code, tc.code, got.Stdout, got.Stderr)
		}
	}
}

// The guide's example is what people begin with.
func TestTheExampleOfTheGuideCanBeApplied(t *testing.T) {
	guide, err := os.ReadFile("../../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(guide), "```yaml\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok || strings.Contains(rest[len(example)+3:], "```yaml") {
		t.Fatal("docs/access.md has no example in YAML, or more than one")
	}
	name := filepath.Join(t.TempDir(), "access.yaml")
	if err := os.WriteFile(name, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	call := callIn(t)
	if got := call("user", "create", "ann@contoso.example", "--administrator"); got.Code != 0 {
		t.Fatalf("the first administrator: %s", got.Stderr)
	}
	first, second := call("apply", "-f", name, "--yes"), call("apply", "-f", name)
	if first.Code != 0 || !strings.Contains(first.Stdout, " changes made\n") || second.Code != 0 || second.Stdout != "Nothing differs\n" {
		t.Errorf("once: %d\n%s%s\ntwice: %d\n%s%s", first.Code, first.Stdout, first.Stderr, second.Code, second.Stdout, second.Stderr)
	}
	exported := filepath.Join(t.TempDir(), "exported.yaml")
	if got := call("access", "export", "-o", exported); got.Code != 0 {
		t.Fatal(got.Stderr)
	}
	if got := call("apply", "-f", exported); got.Code != 0 || got.Stdout != "Nothing differs\n" {
		t.Errorf("what was exported: %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
}

func TestTheExamplesOfOtherIssuersAreAccessFiles(t *testing.T) {
	guide, err := os.ReadFile("../../docs/issuers.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(guide), "```yaml\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("docs/issuers.md has no example in YAML")
	}
	for _, b := range blocks {
		text, _, _ := strings.Cut(b, "```")
		f, err := accessfile.Parse([]byte(text))
		if err != nil || len(f.Issuers) == 0 {
			t.Errorf("%v, %d issuers, in:\n%s", err, len(f.Issuers), text)
		}
	}
}
