package kmodule

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestListIsReadAndABadLineSpoilsNoOther(t *testing.T) {
	var got []Loaded
	bad := 0
	for m, err := range List([]byte(`nf_tables 311296 2 nft_chain_nat,nft_ct, Live 0xffffffffc0a00000 (E)
vboxdrv 700416 0 [permanent], Unloading 0x0000000000000000 (POE)
rubbish
loop 32768 - - Live 0x0000000000000000
`)) {
		if err != nil {
			bad++
			continue
		}
		got = append(got, m)
	}
	want := []Loaded{
		{Name: "nf_tables", Size: 311296, RefCount: 2, Users: []string{"nft_chain_nat", "nft_ct"}, State: "Live", Address: 0xffffffffc0a00000, Taint: "E"},
		{Name: "vboxdrv", Size: 700416, Permanent: true, State: "Unloading", Taint: "POE"},
		{Name: "loop", Size: 32768, RefCount: -1, State: "Live"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if bad != 1 {
		t.Errorf("bad lines = %d, want 1", bad)
	}
}

func TestFilesAreFoundByTheKernelsName(t *testing.T) {
	got := Files([]byte("kernel/net/sch-x.ko.zst: kernel/y.ko\nextra/a_b.ko:\nnot a module: x\n"))
	want := map[string]string{"sch_x": "kernel/net/sch-x.ko.zst", "a_b": "extra/a_b.ko"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, name := range []string{"x.kopf", ".ko", "x.ko.exe", "modules.dep"} {
		if got, ok := Name(name); ok {
			t.Errorf("Name(%q) = %q, want none", name, got)
		}
	}
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestModuleFileTellsOfItselfAndItsSigner(t *testing.T) {
	b := read(t, "signed.ko")
	f, err := ReadFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if f.Get("version") != "1.2" || f.Get("intree") != "Y" || f.Get("srcversion") != "0123456789ABCDEF0123456" || f.Get("vermagic") == "" {
		t.Errorf("info = %+v", f.Info)
	}
	if !f.Signed || f.Signature.Signer != "Build time key of no one" || f.Signature.Hash != "sha512" || f.Signature.Serial == "" {
		t.Errorf("signature = %v %+v", f.Signed, f.Signature)
	}

	b = read(t, "unsigned.ko")
	f, err = ReadFile(bytes.NewReader(b), int64(len(b)))
	if err != nil || f.Signed || f.Get("license") != "GPL" {
		t.Errorf("unsigned: %+v, %v", f, err)
	}
}

func TestDamagedModuleGivesWhatIsLeft(t *testing.T) {
	b := read(t, "signed.ko")
	broken := bytes.Clone(b)
	at := bytes.LastIndex(b, []byte(signatureMagic)) - 4
	copy(broken[at:], "\xff\xff\xff\xff")
	f, err := ReadFile(bytes.NewReader(broken), int64(len(broken)))
	if err == nil || !f.Signed || f.Get("license") != "GPL" {
		t.Errorf("a signature of impossible length: %+v, %v", f, err)
	}

	text := strings.Repeat("not a module", 20)
	if _, err := ReadFile(strings.NewReader(text), int64(len(text))); !errors.Is(err, ErrNotELF) {
		t.Errorf("a text: %v, want ErrNotELF", err)
	}
}

func TestTaintIsSpeltOut(t *testing.T) {
	if got := TaintOf('E'); got != "unsigned module was loaded" {
		t.Errorf("TaintOf(E) = %q", got)
	}
	if Taints[12].Letter != 'O' || Taints[13].Letter != 'E' || Taints[18].Letter != 'N' {
		t.Error("taints are out of the kernel's order")
	}
}

func FuzzReadFile(f *testing.F) {
	f.Add(read(f, "signed.ko"))
	f.Add(read(f, "unsigned.ko"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, _ := ReadFile(bytes.NewReader(b), int64(len(b)))
		if len(m.Info) > maxValues {
			t.Fatal("values past their bound")
		}
	})
}

func FuzzList(f *testing.F) {
	f.Add([]byte("nf_tables 311296 2 nft_ct, Live 0xffffffffc0a00000 (E)\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for range List(b) {
		}
		Files(b)
	})
}
