package swab_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	threatRow  = regexp.MustCompile(`(?m)^\| ([DCPN]\d+) \|.*$`)
	threatTest = regexp.MustCompile("`([a-z0-9]+\\.(?:Test|Fuzz)\\w+)`")
	testFunc   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	testOfRow  = regexp.MustCompile(`(?m)^// Threat ([DCPN]\d+)[:,.](?:.*\n)(?://.*\n)*func (Test\w+)\(`)
)

// docs/threats.md names tests that exist, and every test that says of itself
// which threat it shows.
func TestThreatsAreShownByTests(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("docs", "threats.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{} // to all lines of it
	for _, m := range threatRow.FindAllStringSubmatch(string(page), -1) {
		if rows[m[1]] += m[0]; !threatTest.MatchString(m[0]) {
			t.Errorf("docs/threats.md: row %s names no test: %s", m[1], m[0])
		}
	}
	tests := map[string]bool{} // package.Test
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "node_modules" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		pkg := filepath.Base(filepath.Dir(path))
		if pkg == "." {
			pkg = "swab"
		}
		for _, m := range testFunc.FindAllStringSubmatch(string(text), -1) {
			tests[pkg+"."+m[1]] = true
		}
		for _, m := range testOfRow.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(rows[m[1]], "`"+pkg+"."+m[2]+"`") {
				t.Errorf("%s: %s says that it shows threat %s, and docs/threats.md does not name it there", path, m[2], m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range threatTest.FindAllStringSubmatch(string(page), -1) {
		if !tests[m[1]] {
			t.Errorf("docs/threats.md names %s, which is no test", m[1])
		}
	}
}
