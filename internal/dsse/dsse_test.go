package dsse_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"math/rand/v2"
	"testing"

	"swab/internal/dsse"
)

func key(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func public(seed byte) ed25519.PublicKey { return key(seed).Public().(ed25519.PublicKey) }

func TestEnvelopeOpensForItsTypeAndKeyAlone(t *testing.T) {
	env, err := dsse.Sign("text/plain", []byte("hello"), key(1))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := dsse.Open(env, "text/plain", public(1)); err != nil || string(got) != "hello" {
		t.Errorf("Open = %q, %v, want hello", got, err)
	}
	if _, err := dsse.Open(env, "text/html", public(1)); !errors.Is(err, dsse.ErrType) {
		t.Errorf("Open as another type: %v, want ErrType", err)
	}
	if _, err := dsse.Open(env, "text/plain", public(2)); !errors.Is(err, dsse.ErrKey) {
		t.Errorf("Open by another key: %v, want ErrKey", err)
	}
	if _, err := dsse.Open(env, "text/plain", nil); err == nil {
		t.Error("Open by no key = nil error")
	}
}

func TestEveryFlippedBitIsTold(t *testing.T) {
	env, err := dsse.Sign("text/plain", []byte("hello, world"), key(1))
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(env) * 8 {
		bad := bytes.Clone(env)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := dsse.Open(bad, "text/plain", public(1)); err == nil {
			t.Fatalf("bit %d flipped (%q for %q) and the envelope opens", bit, bad[bit/8], env[bit/8])
		}
	}
}

func TestEnvelopeWithMoreThanItShouldHoldIsRefused(t *testing.T) {
	env, err := dsse.Sign("text/plain", []byte("hello"), key(1))
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"newline":        append(bytes.Clone(env), '\n'),
		"two signatures": bytes.Replace(env, []byte(`}]}`), []byte(`},{"keyid":"","sig":""}]}`), 1),
		"unknown field":  bytes.Replace(env, []byte(`{`), []byte(`{"x":1,`), 1),
		"too large":      bytes.Repeat([]byte("a"), dsse.MaxSize+1),
		"nothing":        nil,
	} {
		if _, err := dsse.Open(bad, "text/plain", public(1)); err == nil {
			t.Errorf("%s: the envelope opens", name)
		}
	}
}

func FuzzOpen(f *testing.F) {
	env, err := dsse.Sign("text/plain", []byte("hello"), key(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(env)
	r := rand.New(rand.NewPCG(1, 2))
	for range 16 {
		bad := bytes.Clone(env)
		bad[r.IntN(len(bad))]++
		f.Add(bad)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if payload, err := dsse.Open(data, "text/plain", public(1)); err == nil && !bytes.Equal(data, env) {
			t.Errorf("an envelope that was not signed opens: %q holds %q", data, payload)
		}
		dsse.Peek(data)
	})
}
