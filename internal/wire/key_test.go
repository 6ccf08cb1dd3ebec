package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"testing"

	"swab/internal/device"
)

func someKeyRequest(n int) KeyRequest {
	r := KeyRequest{Device: device.IDOf(someKey(1))}
	for range n {
		r.Statements = append(r.Statements, bytes.Repeat([]byte("s"), MaxStatement))
	}
	return r
}

func TestKeyRequestIsRefusedUnlessAChain(t *testing.T) {
	longest := mustJSON(t, someKeyRequest(device.MaxKeys-1))
	if _, err := ParseKeyRequest(longest); err != nil || len(longest) > MaxEnrol {
		t.Errorf("the longest chain has %d bytes: %v", len(longest), err)
	}
	for name, spoil := range map[string]func(*KeyRequest){
		"no statement":          func(r *KeyRequest) { r.Statements = nil },
		"an empty one":          func(r *KeyRequest) { r.Statements[0] = nil },
		"one too long":          func(r *KeyRequest) { r.Statements[0] = make([]byte, MaxStatement+1) },
		"too many":              func(r *KeyRequest) { *r = someKeyRequest(device.MaxKeys) },
		"a device that is none": func(r *KeyRequest) { r.Device = "../../etc" },
	} {
		r := someKeyRequest(2)
		spoil(&r)
		if _, err := ParseKeyRequest(mustJSON(t, r)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for _, n := range []int{-1, 0, device.MaxKeys} {
		if _, err := ParseKeyAnswer(mustJSON(t, KeyAnswer{Number: n})); err == nil {
			t.Errorf("an answer of key %d is taken", n)
		}
	}
}

// The last statement of the longest chain fits its bound.
func TestAStatementFits(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	s, err := device.Succeed(device.IDOf(someKey(1)), device.MaxKeys-1, someKey(2), key)
	if err != nil || len(s) > MaxStatement {
		t.Errorf("a statement has %d bytes, %v; want %d at most", len(s), err, MaxStatement)
	}
}

func FuzzKey(f *testing.F) {
	f.Add(mustJSON(f, someKeyRequest(1)))
	f.Add([]byte(`{"number":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := ParseKeyRequest(data); err == nil {
			if b, err := json.Marshal(r); err != nil || len(b) > 2*MaxEnrol {
				t.Errorf("a request that was taken is of %d bytes: %v", len(b), err)
			}
		}
		_, _ = ParseKeyAnswer(data)
	})
}
