package evidence

import (
	"bytes"
	"strings"
	"testing"
)

func TestEntryNames(t *testing.T) {
	for _, c := range []struct{ system, path, want string }{
		{"linux", "/etc/passwd", "fs/$rootfs$/etc/passwd"},
		{"darwin", "/Users/a b/.zsh_history", "fs/$rootfs$/Users/a b/.zsh_history"},
		{"windows", `C:\Windows\System32\config\SAM`, "fs/C/Windows/System32/config/SAM"},
		{"windows", `d:\$Extend\$UsnJrnl`, "fs/D/$Extend/$UsnJrnl"},
		{"linux", "/tmp/a:b*c?d\"e<f>g|h\\i%j", "fs/$rootfs$/tmp/a%3Ab%2Ac%3Fd%22e%3Cf%3Eg%7Ch%5Ci%25j"},
		{"linux", "/tmp/..", "fs/$rootfs$/tmp/.%2E"},
		{"linux", "/tmp/x. ", "fs/$rootfs$/tmp/x.%20"},
		{"linux", "/tmp/CON", "fs/$rootfs$/tmp/%43ON"},
		{"linux", "/tmp/com1.txt/x", "fs/$rootfs$/tmp/%63om1.txt/x"},
		{"linux", "/tmp/\xff\n\u202e", "fs/$rootfs$/tmp/%FF%0A%E2%80%AE"},
		{"linux", "/größe/漢", "fs/$rootfs$/größe/漢"},
		{"linux", "/a//b/", "fs/$rootfs$/a%2F%2Fb%2F"},
		{"linux", "/", "fs/$rootfs$/"},
	} {
		if got := OriginalPath(c.system, c.path); got != c.want {
			t.Errorf("OriginalPath(%s, %q) = %q, want %q", c.system, c.path, got, c.want)
		}
	}
}

func TestLongComponentIsCut(t *testing.T) {
	long := strings.Repeat("\xff", 255)
	got := EntryName([]byte("a/" + long + "/b"))
	if err := checkName(got); err != nil {
		t.Errorf("%q %v", got, err)
	}
	if _, ok := DecodeName(got); ok {
		t.Error("a name that was cut is decoded as if it had not been")
	}
	if got == EntryName([]byte("a/"+long[1:]+"/b")) {
		t.Error("two names are cut to one")
	}
}

func TestNamesAreUniqueWithoutCase(t *testing.T) {
	n := newNames()
	for _, c := range []struct{ name, want string }{
		{"a/b", "a/b"},
		{"a/B", "a/B%7E1"},
		{"A/b", "A/b%7E2"},
		{"a/b", "a/b%7E3"},
		{"A/c", "A/c"},
		{"a/C/d", "a/C%7E1/d"}, // where a file is already
		{"a", "a%7E1"},         // where a folder is already
		{"\u212aelvin", "\u212aelvin"},
		{"kelvin", "kelvin%7E1"}, // the Kelvin sign is a k
	} {
		if got := n.unique(c.name); got != c.want {
			t.Errorf("unique(%q) = %q, want %q", c.name, got, c.want)
		}
	}
}

func TestClashMarkComesOffAgain(t *testing.T) {
	for _, name := range []string{"tmp/x%7E1", "tmp%7E12/x"} {
		if got, ok := DecodeName(name); !ok || string(got) != "tmp/x" {
			t.Errorf("DecodeName(%q) = %q, %v, want tmp/x", name, got, ok)
		}
	}
}

func FuzzEntryName(f *testing.F) {
	for _, s := range append(hostileNames, "etc/passwd", "a~1", "x%7E1") {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, original []byte) {
		if len(original) == 0 || len(original) > 4096 {
			return // no device has such a path
		}
		name := EntryName(original)
		if strings.Count(name, "/") < maxDepth { // the writer cuts deeper ones
			if err := checkName(name); err != nil {
				t.Errorf("EntryName(%q) = %q, which %v", original, name, err)
			}
		}
		back, ok := DecodeName(name)
		if ok && !bytes.Equal(back, original) {
			t.Errorf("%q becomes %q and then %q", original, name, back)
		}
		if !ok && len(original) < 64 { // too short to have been cut
			t.Errorf("%q becomes %q, which can't be decoded", original, name)
		}
		safe := safePath(string(original))
		if err := checkName(safe); err != nil {
			t.Errorf("safePath(%q) = %q, which %v", original, safe, err)
		}
	})
}
