package quickstart

import "testing"

func TestPrintedCallOutlivesGoRun(t *testing.T) {
	for path, want := range map[string]string{
		"/usr/local/bin/swab":                    "/usr/local/bin/swab",
		"/opt/it's here/swab":                    `'/opt/it'\''s here/swab'`,
		"/tmp/go-build2471/b001/exe/swab":        "go run ./cmd/swab",
		"/home/a/.cache/go-build/3f/3f0c-d/swab": "go run ./cmd/swab",
		"/home/a/go-builder/swab":                "/home/a/go-builder/swab",
		"/srv/go-build2471":                      "/srv/go-build2471",
	} {
		if got := callOf(path); got != want {
			t.Errorf("callOf(%q) = %s, want %s", path, got, want)
		}
	}
}
