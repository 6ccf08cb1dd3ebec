package device_test

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/device"
)

func key(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func public(seed byte) ed25519.PublicKey { return key(seed).Public().(ed25519.PublicKey) }

func TestIDProvesTheKey(t *testing.T) {
	id := device.IDOf(public(1))
	if len(id) != 40 || id == device.IDOf(public(2)) {
		t.Errorf("IDOf = %q", id)
	}
	if got, err := device.ParseID(strings.ToUpper(string(id))); err != nil || got != id {
		t.Errorf("ParseID(%q in upper case) = %q, %v", id, got, err)
	}
	for _, bad := range []string{"", "elastic-connector-test", string(id) + "0", string(id[:38]) + "zz", "../" + string(id[3:])} {
		if _, err := device.ParseID(bad); err == nil {
			t.Errorf("ParseID(%q) = nil error, want one", bad)
		}
	}
}

func TestNameMeansOneDeviceOrNone(t *testing.T) {
	now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	dev := func(id, name string, seen time.Duration) device.Device {
		return device.Device{ID: device.ID(id), Facts: device.Facts{Name: name}, LastSeen: now.Add(-seen)}
	}
	const day = 24 * time.Hour
	id := strings.Repeat("ab", 20)
	for _, tt := range []struct {
		what, name string
		among      []device.Device
		want       device.ID
		ambiguous  bool
	}{
		{"an id in another case", "AB", []device.Device{dev("ab", "x.y", 0)}, "ab", false},
		{"a full name", "Web.corp", []device.Device{dev("1", "web.corp", 0), dev("2", "web.lan", 0)}, "1", false},
		{"a host name", "web", []device.Device{dev("1", "web.corp", 0)}, "1", false},
		{"a full name before a host name", "web", []device.Device{dev("1", "web", 0), dev("2", "web.corp", 0)}, "1", false},
		{"an inactive twin", "web", []device.Device{dev("1", "web", 0), dev("2", "web", 8*day)}, "1", false},
		{"two active twins", "web", []device.Device{dev("1", "web", 0), dev("2", "web", day)}, "", true},
		{"two inactive twins", "web", []device.Device{dev("1", "web", 8*day), dev("2", "web", 9*day)}, "", true},
		{"one that is inactive", "web", []device.Device{dev("1", "web", 8*day)}, "1", false},
		{"nothing", "web", nil, "", false},
		{"an id that another has for a name", id, []device.Device{dev("1", id, 0), dev("2", id+".corp", 0)}, "", false},
		{"a part of a name", "we", []device.Device{dev("1", "web", 0)}, "", false},
	} {
		got, ok, ambiguous := device.Resolve(tt.name, tt.among, now)
		if got.ID != tt.want || ok != (tt.want != "") || ambiguous != tt.ambiguous {
			t.Errorf("%s: Resolve(%q) = %q, %v, %v, want %q, ambiguous %v", tt.what, tt.name, got.ID, ok, ambiguous, tt.want, tt.ambiguous)
		}
	}
}

func TestFactsAreCleaned(t *testing.T) {
	got := device.Facts{
		Name: "WEB\x1b[31m.corp\n", Platform: strings.Repeat("ä", 200), LastAddress: "not an address",
		Addresses: []device.Address{{IP: "10.0.0.4", MAC: "02\x005E"}, {IP: "nonsense"}},
	}.Clean()
	want := device.Facts{
		Name: "web[31m.corp", Platform: strings.Repeat("ä", 128), Addresses: []device.Address{{IP: "10.0.0.4", MAC: "025E"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Clean differs:\n%s", diff)
	}
	many := device.Facts{}
	for range 1000 {
		many.Addresses = append(many.Addresses, device.Address{IP: "::1"})
	}
	if n := len(many.Clean().Addresses); n != device.MaxAddresses {
		t.Errorf("Clean keeps %d addresses, want %d", n, device.MaxAddresses)
	}
}

func TestChainHoldsOnlyInItsOrder(t *testing.T) {
	id := device.IDOf(public(1))
	succeed := func(id device.ID, n int, next, by byte) []byte {
		s, err := device.Succeed(id, n, public(next), key(by))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first, second := succeed(id, 1, 2, 1), succeed(id, 2, 3, 2)
	keys, err := device.Chain(public(1), [][]byte{first, second})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]ed25519.PublicKey{public(1), public(2), public(3)}, keys); diff != "" {
		t.Errorf("Chain differs:\n%s", diff)
	}
	for name, bad := range map[string][][]byte{
		"other order":          {second, first},
		"one left out":         {second},
		"one twice":            {first, first},
		"by another key":       {succeed(id, 1, 2, 9)},
		"by a superseded key":  {first, succeed(id, 2, 3, 1)},
		"of another device":    {succeed(device.IDOf(public(9)), 1, 2, 1)},
		"with another number":  {succeed(id, 2, 2, 1)},
		"not an envelope":      {[]byte("{}")},
		"more than the bound":  make([][]byte, device.MaxKeys),
		"an empty statement":   {nil},
		"a statement too long": {bytes.Repeat([]byte("x"), 2<<20)},
	} {
		if _, err := device.Chain(public(1), bad); err == nil {
			t.Errorf("%s: the chain holds", name)
		}
	}
}

func FuzzChain(f *testing.F) {
	good, err := device.Succeed(device.IDOf(public(1)), 1, public(2), key(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, statement []byte) {
		if _, err := device.Chain(public(1), [][]byte{statement}); err == nil && !bytes.Equal(statement, good) {
			t.Errorf("a statement that was not signed holds: %q", statement)
		}
	})
}
