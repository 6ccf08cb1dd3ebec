package keys

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/audit"
)

// memory is a Store in memory; fail makes its next AddKey of that purpose fail,
// down every Keys.
type memory struct {
	mu      sync.Mutex
	records []Record
	entries []audit.Entry
	fail    Purpose
	down    error
}

func (m *memory) Keys(context.Context) ([]Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.records), m.down
}

func (m *memory) AddKey(_ context.Context, r Record) error {
	if r.Purpose == m.fail {
		return errors.New("disk full")
	}
	m.records = append(m.records, r)
	return nil
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func config(m *memory, dir string) Config {
	return Config{
		Store: m, Dir: dir, Now: func() time.Time { return noon },
		Recovery: func(ed25519.PrivateKey) error { return nil },
	}
}

func TestFirstStartMakesEveryKeyOnce(t *testing.T) {
	m, calls := &memory{}, 0
	c := config(m, t.TempDir())
	c.Recovery = func(k ed25519.PrivateKey) error {
		calls++
		if len(m.records) != 7 {
			t.Errorf("recovery key handed out with %d keys kept, want it before its own record", len(m.records))
		}
		return nil
	}
	first, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.records) != 8 || calls != 1 {
		t.Errorf("%d keys, recovery key handed out %d times; want 8 and once", len(m.records), calls)
	}
	for _, r := range m.records {
		if (r.Purpose == Recovery) != (r.Sealed == nil) {
			t.Errorf("%s key: private half kept: %t", r.Purpose, r.Sealed != nil)
		}
	}
	msg := []byte("checkpoint")
	if !ed25519.Verify(second.PublicLogKey(), msg, ed25519.Sign(first.LogKey(), msg)) ||
		!ed25519.Verify(second.PublicReceiptKey(), msg, ed25519.Sign(first.ReceiptKey(), msg)) {
		t.Error("a key is another one after a restart")
	}
	if first.PublicLogKey().Equal(first.PublicReceiptKey()) || first.PublicLogKey().Equal(first.PublicRecoveryKey()) {
		t.Error("two purposes share a key")
	}
	id, key := first.TokenKey()
	if pub := second.TokenKeys()[id]; pub == nil || !pub.Equal(key.Public()) || key.N.BitLen() != 2048 {
		t.Errorf("token key %s is not among the published", id)
	}
}

func TestRecoveryKeyIsNotKeptUnlessItWasPutAway(t *testing.T) {
	m := &memory{}
	c := config(m, t.TempDir())
	c.Recovery = func(ed25519.PrivateKey) error { return errors.New("read-only file system") }
	if _, err := Open(t.Context(), c); err == nil {
		t.Fatal("start went on without the recovery key's file")
	}
	if slices.ContainsFunc(m.records, func(r Record) bool { return r.Purpose == Recovery }) {
		t.Error("a recovery key is in use that nobody has")
	}
	c.Recovery = func(ed25519.PrivateKey) error { return nil }
	if _, err := Open(t.Context(), c); err != nil {
		t.Errorf("next start: %v", err)
	}
}

func TestAnInterruptedFirstStartIsFinishedByTheNext(t *testing.T) {
	m := &memory{fail: Link}
	c := config(m, t.TempDir())
	if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "link key: disk full") {
		t.Fatalf("error %v, want the link key's", err)
	}
	m.fail = ""
	if _, err := Open(t.Context(), c); err != nil || len(m.records) != 8 {
		t.Errorf("next start: %d keys, %v", len(m.records), err)
	}
}

func TestWrongOrMissingMasterKeyIsSaidAndChangesNothing(t *testing.T) {
	m, dir := &memory{}, t.TempDir()
	if _, err := Open(t.Context(), config(m, dir)); err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(m.records)

	other := t.TempDir()
	if _, err := Open(t.Context(), config(m, other)); !errors.Is(err, ErrNoMaster) || !strings.Contains(err.Error(), other) {
		t.Errorf("no master key: %v", err)
	}
	if _, err := os.Stat(filepath.Join(other, MasterFile)); err == nil {
		t.Error("a new master key was made although there are keys that it can't open")
	}
	c := config(m, other)
	c.MasterKey = base64.StdEncoding.EncodeToString(make([]byte, 32))
	if _, err := Open(t.Context(), c); !errors.Is(err, ErrMaster) {
		t.Errorf("another master key: %v", err)
	}
	if diff := cmp.Diff(before, m.records); diff != "" {
		t.Errorf("records changed: %s", diff)
	}
	// The file's text in the variable opens them: that is how a server is moved.
	text, err := os.ReadFile(filepath.Join(dir, MasterFile))
	if err != nil {
		t.Fatal(err)
	}
	c.MasterKey = string(text)
	if _, err := Open(t.Context(), c); err != nil {
		t.Errorf("the file's text as %s: %v", MasterVariable, err)
	}
}

func TestMasterKeyFile(t *testing.T) {
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		want       string
	}{
		{"readable by others", base64.StdEncoding.EncodeToString(make([]byte, 32)), 0o644, "chmod 600"},
		{"empty", "", 0o600, "not the base64 of 32 bytes"},
		{"short", "c2hvcnQ=", 0o600, "not the base64 of 32 bytes"},
		{"not base64", "correct horse battery staple", 0o600, "not the base64 of 32 bytes"},
		{"huge", strings.Repeat("A", 2000), 0o600, "a key has fewer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if runtime.GOOS == "windows" && c.mode != 0o600 {
				return
			}
			dir := t.TempDir()
			path := filepath.Join(dir, MasterFile)
			if err := os.WriteFile(path, []byte(c.text), c.mode); err != nil {
				t.Fatal(err)
			}
			_, err := LoadMaster(dir, "", true)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if c.text != "" && strings.Contains(err.Error(), c.text) {
				t.Error("the error repeats the key")
			}
		})
	}
	dir := t.TempDir()
	if _, err := LoadMaster(dir, "", true); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, MasterFile))
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".key-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestASwappedOrChangedRecordDoesNotOpen(t *testing.T) {
	fresh := func(t *testing.T) (*memory, Config) {
		m := &memory{}
		c := config(m, t.TempDir())
		if _, err := Open(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		return m, c
	}
	of := func(m *memory, p Purpose) *Record {
		return &m.records[slices.IndexFunc(m.records, func(r Record) bool { return r.Purpose == p })]
	}
	for name, change := range map[string]func(m *memory){
		"sealed halves swapped":      func(m *memory) { of(m, AuditLog).Sealed = of(m, Receipt).Sealed },
		"receipt key as log key":     func(m *memory) { r := *of(m, Receipt); r.Purpose = AuditLog; *of(m, AuditLog) = r },
		"another public half":        func(m *memory) { of(m, AuditLog).Public = of(m, Receipt).Public },
		"another public token key":   func(m *memory) { of(m, AccessToken).Public = of(m, Receipt).Public },
		"one bit of the sealed half": func(m *memory) { s := slices.Clone(of(m, Link).Sealed); s[20] ^= 1; of(m, Link).Sealed = s },
		"sealed half gone":           func(m *memory) { of(m, Nonce).Sealed = nil },
		"recovery key cut":           func(m *memory) { of(m, Recovery).Public = nil },
		"unknown purpose":            func(m *memory) { m.records = append(m.records, Record{Purpose: "tea", ID: "1"}) },
		"every token key has ended":  func(m *memory) { of(m, AccessToken).To = noon },
	} {
		t.Run(name, func(t *testing.T) {
			m, c := fresh(t)
			change(m)
			if _, err := Open(t.Context(), c); err == nil {
				t.Error("opened")
			}
		})
	}
}

func TestASucceededKeySignsNoMoreButVerifiesForAWhile(t *testing.T) {
	m, dir, now := &memory{}, t.TempDir(), noon
	c := config(m, dir)
	c.Now = func() time.Time { return now }
	old, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	master, err := LoadMaster(dir, "", false)
	if err != nil {
		t.Fatal(err)
	}
	end := noon.Add(time.Hour)
	for i := range m.records {
		m.records[i].To = end
	}
	for _, p := range []Purpose{AccessToken, AuditLog, Receipt, Link, Nonce} {
		k, err := generate(p, end, master)
		if err != nil {
			t.Fatal(err)
		}
		m.records = append(m.records, k.Record)
	}
	ring, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !ring.PublicLogKey().Equal(old.PublicLogKey()) || len(ring.TokenKeys()) != 2 {
		t.Error("before its start, the next key signs or is not announced")
	}
	now = end.Add(time.Minute)
	oldMAC := old.MAC(Link, []byte("x"))
	if ring.PublicLogKey().Equal(old.PublicLogKey()) {
		t.Error("after its end, a key still signs")
	}
	if !ring.CheckMAC(Link, []byte("x"), oldMAC) || !ring.CheckMAC(Link, []byte("x"), ring.MAC(Link, []byte("x"))) || len(ring.TokenKeys()) != 2 {
		t.Error("a key that ended a minute ago does not verify")
	}
	now = end.Add(Recent + time.Second)
	if ring.CheckMAC(Link, []byte("x"), oldMAC) || len(ring.TokenKeys()) != 1 {
		t.Error("a key that ended long ago still verifies")
	}
}

func TestAMACIsBoundToDataAndPurpose(t *testing.T) {
	ring, err := Open(t.Context(), config(&memory{}, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	mac := ring.MAC(Link, []byte("a"))
	if !ring.CheckMAC(Link, []byte("a"), mac) {
		t.Error("a MAC does not hold")
	}
	if ring.CheckMAC(Link, []byte("b"), mac) || ring.CheckMAC(Nonce, []byte("a"), mac) ||
		ring.CheckMAC(Link, []byte("a"), mac[:31]) || ring.CheckMAC(Link, []byte("a"), nil) || ring.CheckMAC(AuditLog, []byte("a"), mac) {
		t.Error("a MAC holds for other data, another purpose or in part")
	}
}

func FuzzMasterKey(f *testing.F) {
	f.Add(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	f.Add("")
	f.Add("\n====")
	f.Fuzz(func(t *testing.T, text string) {
		if m, err := parseMaster(text, "here"); err == nil && len(m.seal(Link, "1", []byte("k"))) == 0 {
			t.Error("a key that seals nothing")
		}
	})
}

func TestAuthoritySignsForTheHostsAsked(t *testing.T) {
	m, dir := &memory{}, t.TempDir()
	ring, err := Open(t.Context(), config(m, dir))
	if err != nil {
		t.Fatal(err)
	}
	der, key, err := ring.ServerCertificate([]string{"swab.example", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), config(m, dir))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(again.AuthorityCertificate())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		t.Error("the certificate is for another key")
	}
	for host, want := range map[string]bool{"swab.example": true, "127.0.0.1": true, "other.example": false} {
		_, err := cert.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: noon})
		if (err == nil) != want {
			t.Errorf("certificate holds for %s: %v, want %v", host, err, want)
		}
	}
}

func TestASealedSecretOpensInItsPlaceAlone(t *testing.T) {
	r, err := Open(t.Context(), config(&memory{}, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	sealed := r.Seal("one-time code", "tenant/ann", []byte("seed"))
	if got, err := r.Unseal("one-time code", "tenant/ann", sealed); err != nil || string(got) != "seed" {
		t.Errorf("Unseal() = %q, %v", got, err)
	}
	other, err := Open(t.Context(), config(&memory{}, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	altered := slices.Clone(sealed)
	altered[len(altered)-1] ^= 1
	for what, try := range map[string]func() ([]byte, error){
		"another person's":        func() ([]byte, error) { return r.Unseal("one-time code", "tenant/bob", sealed) },
		"of another kind":         func() ([]byte, error) { return r.Unseal("password", "tenant/ann", sealed) },
		"altered":                 func() ([]byte, error) { return r.Unseal("one-time code", "tenant/ann", altered) },
		"cut off":                 func() ([]byte, error) { return r.Unseal("one-time code", "tenant/ann", sealed[:4]) },
		"of another installation": func() ([]byte, error) { return other.Unseal("one-time code", "tenant/ann", sealed) },
		"a key's, though the same key": func() ([]byte, error) {
			return r.master.open(Record{Purpose: "one-time code", ID: "tenant/ann", Sealed: sealed})
		},
	} {
		if got, err := try(); !errors.Is(err, ErrMaster) || got != nil {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
}
