package federation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

func TestOfASetTheKeysForSignaturesAreRead(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, minSize)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak := &rsa.PublicKey{N: new(big.Int).Rsh(private.N, 1), E: private.E}
	huge := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), maxSize), E: private.E}
	even := &rsa.PublicKey{N: private.N, E: 4}
	var all []json.RawMessage
	add := func(k any) {
		text, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	add(jose.JSONWebKey{Key: &private.PublicKey, KeyID: "rsa", Use: "sig"})
	add(jose.JSONWebKey{Key: &curve.PublicKey, KeyID: "ec", Algorithm: "ES384"})
	add(jose.JSONWebKey{Key: private, KeyID: "published with its private half"})
	add(jose.JSONWebKey{Key: &curve.PublicKey, KeyID: "rsa"}) // doubled: the first counts
	add(jose.JSONWebKey{Key: &curve.PublicKey})
	add(jose.JSONWebKey{Key: &curve.PublicKey, KeyID: strings.Repeat("k", maxKID+1)})
	add(jose.JSONWebKey{Key: &curve.PublicKey, KeyID: "for encryption", Use: "enc"})
	add(jose.JSONWebKey{Key: []byte("a secret that both sides know"), KeyID: "oct"})
	add(jose.JSONWebKey{Key: weak, KeyID: "weak"})
	add(jose.JSONWebKey{Key: huge, KeyID: "huge"})
	add(jose.JSONWebKey{Key: even, KeyID: "even"})
	add(map[string]string{"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "kid": "off the curve"})
	add(map[string]string{"kty": "EC", "crv": "secp256k1", "x": "AAAA", "y": "AAAA", "kid": "another curve"})
	add(map[string]string{"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "okp"})
	add(map[string]string{"kty": "new", "kid": "of a kind to come"})
	add(map[string]any{"kty": 7, "kid": "no text"})
	add("no object")
	add(map[string]any{"kty": "RSA", "kid": "chained", "n": "AQAB", "e": "AQAB", "x5c": []string{"not a certificate"}})
	text, err := json.Marshal(map[string]any{"keys": all, "more": true})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := parseKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for kid, k := range keys {
		got[kid] = k.alg
	}
	if diff := cmp.Diff(map[string]string{"rsa": "", "ec": "ES384", "published with its private half": ""}, got); diff != "" {
		t.Errorf("keys read and what they are for (-want +got):\n%s", diff)
	}
	if k, ok := keys["published with its private half"].public.(*rsa.PublicKey); !ok || !k.Equal(&private.PublicKey) {
		t.Errorf("of a published private key: %T", keys["published with its private half"].public)
	}
	if k, ok := keys["rsa"].public.(*rsa.PublicKey); !ok || !k.Equal(&private.PublicKey) {
		t.Errorf("of two keys with one id, the first: %T", keys["rsa"].public)
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","kid":"a","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`))
	f.Add([]byte(`{"keys":[null,{},7]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeys(text)
		if (err == nil) != (len(keys) > 0) || len(keys) > maxKeys {
			t.Errorf("%d keys, %v", len(keys), err)
		}
		for kid, k := range keys {
			switch public := k.public.(type) {
			case *rsa.PublicKey:
				if size := public.N.BitLen(); size < minSize || size > maxSize {
					t.Errorf("an RSA key of %d bits", size)
				}
			case *ecdsa.PublicKey:
				if _, err := public.ECDH(); err != nil {
					t.Errorf("a key that is not on its curve: %v", err)
				}
			default:
				t.Errorf("a key of type %T", k.public)
			}
			if kid == "" || len(kid) > maxKID {
				t.Errorf("kid %q", kid)
			}
		}
	})
}
