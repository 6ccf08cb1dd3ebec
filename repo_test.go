package swab_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The laws of the house that a machine can check.

// floors, from the ground up. A package may import what stands on a lower
// floor; on the ground and in the core also its own floor (Go refuses circles).
var floors = []struct {
	name    string
	rooms   []string
	sideway bool
}{
	{"ground", []string{
		"internal/fault", "internal/canon", "internal/dsse", "internal/dpop", "internal/catalog", "internal/device", "internal/keys",
		"internal/row", "internal/evidence", "internal/parse", "internal/wire", "internal/audit", "internal/odata", "internal/origin", "internal/command", "internal/limit", "internal/credential", "internal/accessfile", "client", "api",
	}, true},
	{"core", []string{"internal/action", "internal/fleet", "internal/access", "internal/auth", "internal/signin", "internal/vault", "internal/retention", "internal/collect"}, true},
	{"doors", []string{
		"internal/api", "internal/issuer", "internal/manual", "internal/gateway", "internal/agent", "internal/cli", "internal/store", "internal/bus", "internal/federation",
	}, false},
	{"server", []string{"internal/server"}, false},
	{"quickstart", []string{"internal/quickstart"}, false},
	{"cmd", []string{"cmd"}, false},
}

// alone says what a room must not import though its floor allows it, and why.
var alone = []struct{ room, mustNot, because string }{
	{"internal/action", "internal/vault", "the life of an action knows no bytes"},
	{"internal/action", "internal/collect", "the server knows no collector"},
	{"internal/action", "internal/access", "the life of an action knows no administrators"},
	{"internal/fleet", "internal/action", "devices know nothing of what is asked of them"},
	{"internal/fleet", "internal/access", "devices know no administrators"},
	{"internal/fleet", "internal/vault", "devices know no packages"},
	{"internal/fleet", "internal/collect", "the server knows no collector"},
	{"internal/access", "internal/action", "who may come in has nothing to do with what they do"},
	{"internal/access", "internal/vault", "who may come in has nothing to do with packages"},
	{"internal/access", "internal/collect", "the server knows no collector"},
	{"internal/signin", "internal/action", "who signs in has nothing to do with what they do"},
	{"internal/signin", "internal/access", "people at the desk are no administrators"},
	{"internal/signin", "internal/vault", "who signs in has nothing to do with packages"},
	{"internal/auth", "internal/action", "permission comes first"},
	{"internal/auth", "internal/access", "permission comes first"},
	{"internal/vault", "internal/action", "bytes know no actions"},
	{"internal/vault", "internal/access", "bytes know no administrators"},
	{"internal/vault", "internal/retention", "bytes know no rules"},
	{"internal/action", "internal/retention", "the life of an action ends before its package's"},
	{"internal/retention", "internal/access", "how long packages are kept has nothing to do with who may come in"},
	{"internal/collect", "internal/vault", "a device has no vault"},
	{"internal/collect", "internal/auth", "a device has no callers"},
	{"internal/collect", "internal/fleet", "a device knows no other"},
	{"internal/collect", "internal/access", "a device has no administrators"},
	{"internal/collect", "internal/action", "a device has attempts, not actions"},
	{"internal/agent", "internal/vault", "a device has no vault"},
	{"internal/agent", "internal/auth", "a device has no callers"},
	{"internal/agent", "internal/fleet", "a device knows no other"},
	{"internal/agent", "internal/access", "a device has no administrators"},
	{"internal/agent", "internal/action", "a device has attempts, not actions"},
	{"internal/agent", "internal/keys", "a device has no server keys"},
	{"internal/cli", "internal/action", "the command line speaks the public API"},
	{"internal/cli", "internal/fleet", "the command line speaks the public API"},
	{"internal/cli", "internal/access", "the command line speaks the public API"},
	{"internal/cli", "internal/vault", "the command line speaks the public API"},
	{"internal/cli", "internal/retention", "the command line speaks the public API"},
	{"internal/cli", "internal/collect", "the command line collects nothing"},
	{"client", "internal", "the client is public and stands alone"},
}

// agentModules is every module that the device's agent may link. It runs as
// root on every device: a name is added here after its code was read.
var agentModules = []string{
	"github.com/alecthomas/kong",
	"github.com/coder/websocket",
	"github.com/klauspost/compress",
	"github.com/ulikunitz/xz",
	"go.yaml.in/yaml/v4",
	"golang.org/x/mod",
	"golang.org/x/net",
	"golang.org/x/sync",
	"golang.org/x/sys",
}

// testModules are there for tests alone: no program links them.
var testModules = []string{
	"github.com/Azure/", "github.com/AzureAD/", "github.com/chromedp/", "github.com/google/go-cmp", "github.com/rogpeppe/go-internal",
	"github.com/santhosh-tekuri/jsonschema",
	"github.com/secure-systems-lab/go-securesystemslib", "go.uber.org/goleak", "golang.org/x/oauth2", "pgregory.net/rapid",
}

type pkg struct {
	ImportPath   string
	Dir          string
	Doc          string
	Imports      []string
	GoFiles      []string
	IgnoredFiles []string `json:"IgnoredGoFiles"`
	Module       *struct{ Path string }
	Standard     bool
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,Doc,Imports,GoFiles,IgnoredGoFiles,Module,Standard"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// within says whether path is room or below it.
func within(path, room string) bool { return path == room || strings.HasPrefix(path, room+"/") }

func floor(path string) int {
	return slices.IndexFunc(floors, func(f struct {
		name    string
		rooms   []string
		sideway bool
	},
	) bool {
		return slices.ContainsFunc(f.rooms, func(r string) bool { return within(path, r) })
	})
}

func room(path string) string {
	for _, f := range floors {
		for _, r := range f.rooms {
			if within(path, r) {
				return r
			}
		}
	}
	return path
}

func TestImportsOnlyGoDown(t *testing.T) {
	for _, p := range list(t, "./...") {
		path := strings.TrimPrefix(p.ImportPath, "swab/")
		if p.ImportPath == "swab" || within(path, "test") {
			continue
		}
		own := floor(path)
		if own < 0 {
			t.Errorf("%s stands on no floor: name it in floors, and in doc.go", path)
			continue
		}
		for _, imported := range p.Imports {
			to, ours := strings.CutPrefix(imported, "swab/")
			if !ours || room(to) == room(path) {
				continue
			}
			switch below := floor(to); {
			case below > own:
				t.Errorf("%s (%s) imports %s (%s): upward", path, floors[own].name, to, floors[below].name)
			case below == own && !floors[own].sideway:
				t.Errorf("%s imports %s, on the same floor (%s)", path, to, floors[own].name)
			}
			for _, a := range alone {
				if within(path, a.room) && within(to, a.mustNot) {
					t.Errorf("%s imports %s: %s", path, to, a.because)
				}
			}
		}
	}
}

func TestAgentLinksOnlyItsModules(t *testing.T) {
	for _, system := range []string{"linux", "windows", "darwin"} {
		t.Setenv("GOOS", system)
		t.Setenv("CGO_ENABLED", "0")
		found := map[string]bool{}
		for _, p := range list(t, "-deps", "./cmd/swab-agent") {
			if p.Module != nil && p.Module.Path != "swab" {
				found[p.Module.Path] = true
			}
			for _, forbidden := range []string{"os/exec", "plugin", "net/http/pprof", "database/sql"} {
				if p.ImportPath == forbidden {
					t.Errorf("%s: the agent links %s", system, forbidden)
				}
			}
			if path, ours := strings.CutPrefix(p.ImportPath, "swab/"); ours {
				for _, a := range []string{"internal/server", "internal/api", "internal/gateway", "internal/store", "internal/action", "internal/fleet", "internal/access", "internal/vault", "internal/retention", "internal/auth", "internal/signin", "client"} {
					if within(path, a) {
						t.Errorf("%s: the agent links %s", system, path)
					}
				}
			}
		}
		for _, m := range slices.Sorted(maps.Keys(found)) {
			if !slices.Contains(agentModules, m) {
				t.Errorf("%s: the agent links module %s, which is not on its list", system, m)
			}
		}
	}
}

func TestProgramsLinkNoModuleOfTests(t *testing.T) {
	for _, p := range list(t, "-deps", "./cmd/...") {
		if within(p.ImportPath, "swab/api/contract") {
			t.Errorf("a program links %s, which holds answers against the document, for tests", p.ImportPath)
		}
		if p.Module != nil && slices.ContainsFunc(testModules, func(m string) bool { return strings.HasPrefix(p.Module.Path, m) }) {
			t.Errorf("a program links %s, of module %s, which is for tests", p.ImportPath, p.Module.Path)
		}
	}
}

func TestServerSideKnowsNoCollector(t *testing.T) {
	for _, p := range list(t, "-deps", "./internal/server") {
		path := strings.TrimPrefix(p.ImportPath, "swab/")
		if within(path, "internal/agent") || within(path, "internal/collect") {
			t.Errorf("the server links %s", path)
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range list(t, "./...") {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// The map in doc.go is the way in: every room stands in it.
func TestMapNamesEveryRoom(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range floors {
		for _, r := range f.rooms {
			if !strings.Contains(string(doc), strings.TrimPrefix(r, "internal/")) {
				t.Errorf("doc.go does not name %s", r)
			}
		}
	}
}

// forbidden patterns in our own code, with what to do instead.
var forbidden = []struct {
	pattern *regexp.Regexp
	except  []string // path prefixes
	instead string
}{
	{regexp.MustCompile(`\bfunc init\(\)`), nil, "hand it in: nothing registers itself"},
	{regexp.MustCompile(`\bfmt\.Print(f|ln)?\(`), nil, "write to the Env's Stdout"},
	{regexp.MustCompile(`\blog\.(Print|Fatal|Panic)`), nil, "take a *slog.Logger"},
	{regexp.MustCompile(`\bos\.Exit\(`), []string{"cmd/", "test/"}, "return an error with its exit code"},
	{regexp.MustCompile(`"math/rand"`), nil, "crypto/rand, or math/rand/v2 where it is no secret"},
	{regexp.MustCompile(`"os/exec"`), []string{"internal/quickstart/", "test/"}, "no child process"},
	{regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`), nil, "finish it, or say it in an issue"},
}

func TestCodeKeepsTheHouseRules(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "testdata" || d.Name() == "swab-data" || d.Name() == "build") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for n, line := range strings.Split(string(text), "\n") {
			for _, f := range forbidden {
				if f.pattern.MatchString(line) && !slices.ContainsFunc(f.except, func(e string) bool { return strings.HasPrefix(path, e) }) {
					t.Errorf("%s:%d: %s\n\tinstead: %s", path, n+1, strings.TrimSpace(line), f.instead)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// registries are hosts from which modules and packages come. Which one serves a
// machine is that machine's business: the tree names none, lock files included.
var registries = []string{
	"registry." + "npmjs.org", "registry." + "yarnpkg.com", "proxy." + "golang.org", "sum." + "golang.org",
	"deb." + "debian.org", "pypi" + ".org", "files." + "pythonhosted.org",
}

func TestTreeNamesNoRegistry(t *testing.T) {
	files, err := exec.Command("git", "ls-files", "-z").Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(files), "\x00"), "\x00") {
		text, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) { // deleted, and not yet committed
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		for _, host := range registries {
			if strings.Contains(string(text), host) {
				t.Errorf("%s names %s", name, host)
			}
		}
	}
}
