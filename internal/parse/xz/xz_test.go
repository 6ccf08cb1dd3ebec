package xz

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// The files of testdata were made by xz 5.4.1 out of these lines.
func lines() []byte {
	var b []byte
	for i := range 3000 {
		b = fmt.Appendf(b, "line %d of a file that is packed\n", i)
	}
	return b
}

const maxDict = 8 << 20

func unpack(packed []byte) ([]byte, error) {
	r, err := NewReader(bytes.NewReader(packed), maxDict)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, 1<<20))
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFilesOfTheToolAreUnpacked(t *testing.T) {
	for _, name := range []string{"none.xz", "crc32.xz", "crc64.xz", "sha256.xz", "blocks.xz"} {
		if got, err := unpack(sample(t, name)); err != nil || !bytes.Equal(got, lines()) {
			t.Errorf("%s: %d bytes, %v; want the %d of the lines", name, len(got), err, len(lines()))
		}
	}
	if got, err := unpack(sample(t, "empty.xz")); err != nil || len(got) != 0 {
		t.Errorf("an empty file: %q, %v", got, err)
	}
}

func TestWhatIsNotReadIsRefused(t *testing.T) {
	for name, want := range map[string]error{"dict64m.xz": ErrDictionary, "x86.xz": ErrFilter} {
		if got, err := unpack(sample(t, name)); !errors.Is(err, want) || len(got) != 0 {
			t.Errorf("%s: %d bytes, %v; want none, %v", name, len(got), err, want)
		}
	}
}

func TestDamageIsTold(t *testing.T) {
	for _, name := range []string{"crc32.xz", "crc64.xz", "sha256.xz", "blocks.xz"} {
		whole := sample(t, name)
		if _, err := unpack(whole[:len(whole)/2]); !errors.Is(err, ErrFormat) {
			t.Errorf("half of %s: %v, want ErrFormat", name, err)
		}
		damaged := bytes.Clone(whole)
		damaged[len(damaged)/2] ^= 1
		if _, err := unpack(damaged); !errors.Is(err, ErrFormat) {
			t.Errorf("%s with a bit turned over: %v, want ErrFormat", name, err)
		}
	}
	if _, err := unpack([]byte("no such file")); !errors.Is(err, ErrFormat) {
		t.Errorf("a file of another kind: %v", err)
	}
}

func FuzzReader(f *testing.F) {
	for _, name := range []string{"none.xz", "crc32.xz", "sha256.xz", "blocks.xz", "x86.xz", "dict64m.xz", "empty.xz"} {
		f.Add(sample(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := unpack(b)
		if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrFilter) && !errors.Is(err, ErrDictionary) {
			t.Fatalf("an error of no kind: %v", err)
		}
	})
}
