// Package hosttest makes the trees of files that collectors are tested on.
package hosttest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"swab/internal/collect/host"
)

// Files are a tree: path to content. Content that begins with "-> " makes a
// symbolic link, so that `proc/7/fd/3` can be "-> socket:[81]"; a path that ends
// in "/" makes a directory.
type Files map[string]string

// New is a host over the files, which go away with the test.
func New(t testing.TB, files Files) *host.Host {
	t.Helper()
	h, err := host.Fixture(Write(t, files))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// Write writes the files below a new directory, and returns it.
func Write(t testing.TB, files Files) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		dir := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			dir = path
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		target, link := strings.CutPrefix(content, "-> ")
		switch {
		case strings.HasSuffix(name, "/"):
		case link:
			err = os.Symlink(target, path)
		default:
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}
