package envfile

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestValuesLoseQuotesAndEscapesOnly(t *testing.T) {
	got := Parse([]byte(`# comment
NAME="Debian GNU/Linux"
SINGLE='a "b" $c'
PLAIN=12
ESCAPED="a\"b\\c\$d\n"
BYTES=host\x2dname
BARE=a\ b
  SPACED = x
no assignment
TWICE=1
TWICE=2
export EXPORTED=y
EMPTY=
`))
	want := map[string]string{
		"NAME": "Debian GNU/Linux", "SINGLE": `a "b" $c`, "PLAIN": "12", "ESCAPED": `a"b\c$d\n`, "BYTES": "host-name", "BARE": "a b",
		"SPACED": "x", "TWICE": "2", "EXPORTED": "y", "EMPTY": "",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func FuzzPairs(f *testing.F) {
	f.Add([]byte("A=\"b\\x20\"\nB='\nC=\\"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, value := range Pairs(b) {
			if len(name)+len(value) > len(b) {
				t.Fatal("more came out than went in")
			}
		}
	})
}
