package main

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/cli"
	"swab/internal/command"
)

var update = flag.Bool("update", false, "rewrite docs/cli.md")

//go:generate go test . -run TestDocsOfTheCommandsMatchTheCode -update

func TestDocsOfTheCommandsMatchTheCode(t *testing.T) {
	const name = "../../docs/cli.md"
	want, err := command.Page("swab", command.Join(cli.Commands(), more()))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/cli.md parts from the code; go generate ./cmd/swab rewrites it (-code +page):\n%s", diff)
	}
}
