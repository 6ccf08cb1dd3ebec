package evidence

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"swab/internal/device"
	ourdsse "swab/internal/dsse"
)

func TestReceiptReadsBack(t *testing.T) {
	want := Receipt{Format: ReceiptFormat, SHA256: "00", Size: 1, Time: "2026-03-01T12:00:00.0000000Z", Key: []byte{1}, Comment: "<&>", Opening: opening}
	env, err := SignReceipt(want, key("server"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := OpenReceipt(env, []ed25519.PublicKey{public(key("old")), public(key("server"))})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if peeked, err := PeekReceipt(env); err != nil || !cmp.Equal(peeked, got) {
		t.Errorf("PeekReceipt: %+v, %v", peeked, err)
	}
	for name, c := range map[string]struct {
		env  []byte
		keys []ed25519.PublicKey
	}{
		"no key":         {env, nil},
		"another key":    {env, []ed25519.PublicKey{public(key("other"))}},
		"a space behind": {append(slices.Clone(env), ' '), []ed25519.PublicKey{public(key("server"))}},
		"nothing":        {nil, []ed25519.PublicKey{public(key("server"))}},
		"the manifest's": {forge(t, tiny(t)).piece(envelopePath).data, []ed25519.PublicKey{public(key("device"))}},
	} {
		if r, err := OpenReceipt(c.env, c.keys); err == nil {
			t.Errorf("%s: opened as %+v", name, r)
		}
	}
}

func TestReceiptOfAnotherPackage(t *testing.T) {
	r := check(t, tiny(t))
	base, err := PeekReceipt(receiptOf(r, key("server")))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Receipt){
		"bytes":   func(r *Receipt) { r.SHA256 = "00" + r.SHA256[2:] },
		"size":    func(r *Receipt) { r.Size++ },
		"device":  func(r *Receipt) { r.Device = device.IDOf(public(key("x"))) },
		"key":     func(r *Receipt) { r.Key = public(key("x")) },
		"tenant":  func(r *Receipt) { r.Tenant = "x" },
		"action":  func(r *Receipt) { r.Action = "x" },
		"attempt": func(r *Receipt) { r.Attempt++ },
		"plan":    func(r *Receipt) { r.Plan = "sha256:00" },
		"opening": func(r *Receipt) { r.Opening.Hidden.Comment = "another reason" },
	} {
		rec := base
		change(&rec)
		env, err := SignReceipt(rec, key("server"))
		if err != nil {
			t.Fatal(err)
		}
		// With the key and without: what contradicts the package is told either way.
		for _, keys := range [][]ed25519.PublicKey{{public(key("server"))}, nil} {
			if v := r.Judge(Trust{PlanKnown: known, ReceiptKeys: keys, Receipt: env}); v.Class != Altered || v.Code != CodeReceipt {
				t.Errorf("another %s: %+v", name, v)
			}
		}
	}
}

// elsewhere is a key as the reference implementation of DSSE takes it.
type elsewhere ed25519.PublicKey

func (e elsewhere) Verify(_ context.Context, data, sig []byte) error {
	if !ed25519.Verify(ed25519.PublicKey(e), data, sig) {
		return errors.New("the signature does not hold")
	}
	return nil
}

func (e elsewhere) KeyID() (string, error)   { return ourdsse.KeyID(ed25519.PublicKey(e)), nil }
func (e elsewhere) Public() crypto.PublicKey { return ed25519.PublicKey(e) }

func TestEnvelopesVerifyElsewhere(t *testing.T) {
	pkg := tiny(t)
	for name, c := range map[string]struct {
		envelope []byte
		key      ed25519.PublicKey
	}{
		"manifest.dsse": {forge(t, pkg).piece(envelopePath).data, public(key("device"))},
		"receipt":       {receiptOf(check(t, pkg), key("server")), public(key("server"))},
	} {
		var env dsse.Envelope
		if err := json.Unmarshal(c.envelope, &env); err != nil {
			t.Fatal(err)
		}
		v, err := dsse.NewEnvelopeVerifier(elsewhere(c.key))
		if err != nil {
			t.Fatal(err)
		}
		if accepted, err := v.Verify(t.Context(), &env); err != nil || len(accepted) != 1 {
			t.Errorf("%s: %v, %v", name, accepted, err)
		}
		env.PayloadType += "x"
		if _, err := v.Verify(t.Context(), &env); err == nil {
			t.Errorf("%s: verifies as another type", name)
		}
	}
}

func FuzzReceipt(f *testing.F) {
	env, err := SignReceipt(Receipt{Time: "2026-03-01T12:00:00.0000000Z", Opening: opening}, key("server"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(env)
	f.Add(bytes.Replace(env, []byte("payloadType"), []byte("PayloadType"), 1))
	f.Add([]byte(`{"payloadType":"","payload":"","signatures":[]}`))
	keys := []ed25519.PublicKey{public(key("server"))}
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := OpenReceipt(data, keys); err == nil && !bytes.Equal(data, env) {
			t.Errorf("another envelope opens: %q", data)
		}
		PeekReceipt(data)
	})
}
