package cli

import (
	"context"
	"io"
	"runtime"
	"runtime/debug"

	"swab/internal/catalog"
	"swab/internal/command"
)

type version struct{ output }

// release is the catalogue's: what can be asked of a device is what a release is
// known by.
func release() string { return catalog.Current().Release }

func (v *version) Run(_ context.Context, env command.Env) error {
	out := struct {
		Release  string `json:"release"`
		Catalog  string `json:"catalog"`
		Revision string `json:"revision,omitempty"`
		Modified bool   `json:"modified,omitempty"` // built from files that are not those of the revision
		Go       string `json:"go"`
		System   string `json:"system"`
	}{
		Release: release(), Catalog: string(catalog.Current().Digest()),
		Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				out.Revision = s.Value
			case "vcs.modified":
				out.Modified = s.Value == "true"
			}
		}
	}
	return v.print(env.Stdout, out, func(w io.Writer) error {
		revision := out.Revision
		if out.Modified {
			revision += ", modified"
		}
		return fields(w, "swab", out.Release, "catalogue", out.Catalog, "revision", revision, "go", out.Go, "system", out.System)
	})
}
