package linux

import (
	"errors"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"swab/internal/collect/host"
	"swab/internal/collect/host/hosttest"
	"swab/internal/row"
)

func TestPipePlantedAsASessionHangsNothing(t *testing.T) {
	root := hosttest.Write(t, aHost(hosttest.Files{"run/systemd/sessions/3": "USER=alice\nUID=1000\n"}))
	for _, name := range []string{"run/systemd/sessions/4", "run/utmp"} {
		if err := unix.Mkfifo(filepath.Join(root, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h, err := host.Fixture(root)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	out := gather(t, Sessions(), h)
	if rows := rowsOf[row.Session](out, "sessions"); len(rows) != 1 || rows[0].User != "alice" {
		t.Errorf("rows: %+v", rows)
	}
	if !errors.Is(out.missing["/run/utmp"], host.ErrNotRegular) {
		t.Errorf("missing = %v, want a pipe in place of utmp", out.missing)
	}
}
