package passwd

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sample = `root:x:0:0:root:/root:/bin/bash
# comment
toor:x:0:0::/root:/bin/sh
broken:$6$secret
alice:x:1000:1000:Alice,,,:/home/alice:/bin/zsh
+::::::
`

func TestUsersAreReadAndABadLineSpoilsNoOther(t *testing.T) {
	var got []User
	for u, err := range Parse([]byte(sample)) {
		if err != nil {
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("error tells a hash: %v", err)
			}
			continue
		}
		got = append(got, u)
	}
	want := []User{
		{Name: "root", Comment: "root", Home: "/root", Shell: "/bin/bash"},
		{Name: "toor", Home: "/root", Shell: "/bin/sh"},
		{Name: "alice", UID: 1000, GID: 1000, Comment: "Alice,,,", Home: "/home/alice", Shell: "/bin/zsh"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestTheFirstNameOfAnIdHolds(t *testing.T) {
	if d := cmp.Diff(map[uint32]string{0: "root", 1000: "alice"}, Names([]byte(sample))); d != "" {
		t.Error(d)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Fuzz(func(t *testing.T, b []byte) {
		for range Parse(b) {
		}
	})
}
