package catalog_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/canon"
	"swab/internal/catalog"
)

var update = flag.Bool("update", false, "write the plans of this release anew")

// The plans of a release are its contract with every package that was made by
// it: a change here is a new release, and the old plans go to Releases.
func TestPlansAreThoseOfTheRelease(t *testing.T) {
	for _, p := range catalog.Current().Plans {
		file := filepath.Join("testdata", catalog.Current().Release, p.Profile+"-"+p.System+".json")
		if *update {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, p.Canonical(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(p.Canonical())); diff != "" {
			t.Errorf("plan %s for %s differs from %s:\n%s", p.Profile, p.System, file, diff)
		}
	}
}

func TestPlansReadBackAndAreFoundByDigest(t *testing.T) {
	for _, p := range catalog.Current().Plans {
		var got catalog.Plan
		if err := canon.Unmarshal(p.Canonical(), &got); err != nil {
			t.Errorf("plan %s for %s does not read back: %v", p.Profile, p.System, err)
		}
		known, err := catalog.Known(p.Digest())
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(p, known); diff != "" {
			t.Errorf("Known(%s) differs:\n%s", p.Digest(), diff)
		}
	}
	if _, err := catalog.Known(catalog.DigestOf(nil)); err == nil {
		t.Error("Known of a digest that is no plan's = nil error")
	}
}

func TestItemsAreDistinctAndInOrder(t *testing.T) {
	for _, p := range catalog.Current().Plans {
		names, tables, stage := map[string]bool{}, map[string]bool{}, catalog.Volatile
		for _, it := range p.Items {
			if names[it.Name] || !strings.HasPrefix(it.Name, p.System+".") || it.Title == "" || it.Version < 1 {
				t.Errorf("%s/%s: item %q is doubled, or not of the system, or lacks title or version", p.Profile, p.System, it.Name)
			}
			names[it.Name] = true
			if it.Stage < stage {
				t.Errorf("%s/%s: item %q comes after a later stage", p.Profile, p.System, it.Name)
			}
			stage = it.Stage
			for _, table := range it.Tables {
				if path := strings.ToLower(it.Path(table)); tables[path] {
					t.Errorf("%s/%s: table %q is doubled", p.Profile, p.System, path)
				} else {
					tables[path] = true
				}
			}
		}
	}
}

func TestDefaultProfileIsThereForEverySystem(t *testing.T) {
	for _, system := range []string{"linux", "windows", "darwin"} {
		if _, ok := catalog.Current().Plan(catalog.DefaultProfile, system); !ok {
			t.Errorf("no plan of profile %s for %s", catalog.DefaultProfile, system)
		}
	}
	if got, ok := catalog.OfRelease(catalog.Current().Digest()); !ok || got.Release != catalog.Current().Release {
		t.Errorf("OfRelease(current digest) = %q, %v", got.Release, ok)
	}
}
