package clients

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// block is an example of docs/clients.md: where its lines are taken from, and
// the lines.
var block = regexp.MustCompile("(?m)^<!-- test/clients/(\\S+): (\\S+) -->\n```\\w+\n((?s).*?)```$")

// What docs/clients.md shows is what the tests run, line by line. In Go the
// checks of errors are left out.
func TestPageShowsWhatIsRun(t *testing.T) {
	page, err := os.ReadFile("../../docs/clients.md")
	must(t, err)
	blocks := block.FindAllStringSubmatch(string(page), -1)
	if fences := strings.Count(string(page), "\n```"); fences != 2*len(blocks) || len(blocks) == 0 {
		t.Errorf("%d examples say where they are run, and the page has %d", len(blocks), fences/2)
	}
	shown := map[string]bool{}
	for _, b := range blocks {
		shown[b[1]+": "+b[2]] = true
		if diff := cmp.Diff(region(t, b[1], b[2]), b[3]); diff != "" {
			t.Errorf("%s: %s (-run, +shown):\n%s", b[1], b[2], diff)
		}
	}
	for _, file := range []string{"admit.sh", "go_test.go", "msal_test.go", "azidentity_test.go", "oauth2_test.go", "node/msal.mjs", "node/identity.mjs", "node/people.mjs", "people_test.go", "azperson_test.go", "python/flow.py", "python/people.py", "curl/flow.sh"} {
		for _, m := range begin.FindAllStringSubmatch(read(t, file), -1) {
			if m[1] != "end" && !shown[file+": "+m[1]] {
				t.Errorf("the page does not show %s: %s", file, m[1])
			}
		}
	}
}

// The versions that the page says were seen are those that are run.
func TestPageNamesTheVersionsThatAreRun(t *testing.T) {
	page := read(t, "../../docs/clients.md")
	modules, packages := read(t, "../../go.mod"), read(t, "node/package.json")
	for name, in := range map[string]string{
		"MSAL for Go":                              version(t, modules, "github.com/AzureAD/microsoft-authentication-library-for-go v"),
		"azidentity, with azcore":                  version(t, modules, "github.com/Azure/azure-sdk-for-go/sdk/azidentity v"),
		"golang.org/x/oauth2":                      version(t, modules, "golang.org/x/oauth2 v"),
		"@azure/msal-node":                         version(t, packages, `"@azure/msal-node": "`),
		"@azure/identity, with core-rest-pipeline": version(t, packages, `"@azure/identity": "`),
	} {
		if row := "| " + name + " | " + in + " |"; !strings.Contains(page, row) {
			t.Errorf("the page has no row that begins with %q", row)
		}
	}
}

// version is what follows a name in a list of modules.
func version(t *testing.T, list, name string) string {
	t.Helper()
	_, after, found := strings.Cut(list, name)
	end := strings.IndexAny(after, " \"\n")
	if !found || end < 0 {
		t.Fatalf("no %s", name)
	}
	return after[:end]
}

var begin = regexp.MustCompile(`(?m)^\s*(?://|#) doc: (\w+)$`)

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	return string(text)
}

// region is what stands in a file between "doc: NAME" and "doc: end", without
// the indent of its first line.
func region(t *testing.T, file, name string) string {
	t.Helper()
	var out strings.Builder
	inside, indent := false, ""
	for line := range strings.Lines(read(t, file)) {
		text := strings.TrimLeft(line, " \t")
		switch mark := strings.TrimLeft(text, "/# "); {
		case mark == "doc: "+name+"\n":
			inside, indent = true, strings.TrimSuffix(line, text)
		case inside && mark == "doc: end\n":
			return out.String()
		case inside && !strings.HasPrefix(text, "must("):
			out.WriteString(strings.TrimPrefix(line, indent))
		}
	}
	t.Fatalf("%s has no lines between doc: %s and doc: end", file, name)
	return ""
}
