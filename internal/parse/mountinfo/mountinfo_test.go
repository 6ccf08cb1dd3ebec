package mountinfo

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const table = `36 35 98:0 /mnt1 /mnt/a\040b\134c rw,noatime master:1 propagate_from:2 - ext3 /dev/root rw,errors=continue
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
rubbish
40 22 0:4 net:[4026532001] /run/netns/blue rw shared:9 - nsfs nsfs rw
41 22 0:50 / /mnt/empty rw - tmpfs  rw
`

func TestTableIsReadAndABadLineSpoilsNoOther(t *testing.T) {
	var got []Mount
	bad := 0
	for m, err := range Parse([]byte(table)) {
		if err != nil {
			bad++
			continue
		}
		got = append(got, m)
	}
	want := []Mount{
		{ID: 36, Parent: 35, Major: 98, Root: "/mnt1", Point: `/mnt/a b\c`, Options: "rw,noatime", Propagation: "master:1 propagate_from:2", Type: "ext3", Source: "/dev/root", Super: "rw,errors=continue"},
		{ID: 22, Parent: 1, Major: 254, Root: "/", Point: "/", Options: "rw,relatime", Propagation: "shared:1", Type: "ext4", Source: "/dev/vda", Super: "rw"},
		{ID: 40, Parent: 22, Minor: 4, Root: "net:[4026532001]", Point: "/run/netns/blue", Options: "rw", Propagation: "shared:9", Type: "nsfs", Source: "nsfs", Super: "rw"},
		{ID: 41, Parent: 22, Minor: 50, Root: "/", Point: "/mnt/empty", Options: "rw", Type: "tmpfs", Super: "rw"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if bad != 1 {
		t.Errorf("bad lines = %d, want 1", bad)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(table))
	f.Fuzz(func(t *testing.T, b []byte) {
		for m, err := range Parse(b) {
			if err == nil && (m.ID < 0 && m.Options == "" && m.Type == "" && m.Point == "" && len(b) < 8) {
				t.Fatal("a mount out of nothing")
			}
		}
	})
}
