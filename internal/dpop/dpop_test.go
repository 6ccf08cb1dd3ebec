package dpop

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	key   = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	other = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
	proof = Proof{ID: "id", Method: "POST", URL: "https://swab.test:8443/device/token?a=b&c", Issued: 1, Nonce: "n", TokenHash: TokenHash("t")}
	claim = Assertion{Issuer: "d", Subject: "d", Audience: "https://swab.test/device/token", ID: "id", Nonce: "n", Expires: 2, Issued: 1}
)

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func TestSignedProofIsRead(t *testing.T) {
	s, err := proof.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	got, pub, err := ParseProof(s)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(proof, got); diff != "" {
		t.Errorf("ParseProof gave other claims (-want +got):\n%s", diff)
	}
	if !pub.Equal(key.Public()) {
		t.Error("ParseProof gave another key")
	}
}

func TestAssertionVerifiesByItsKeyAlone(t *testing.T) {
	s, err := claim.Sign("kid", key)
	if err != nil {
		t.Fatal(err)
	}
	u, err := ParseAssertion(s)
	if err != nil {
		t.Fatal(err)
	}
	if u.KeyID != "kid" {
		t.Errorf("KeyID = %q, want kid", u.KeyID)
	}
	got, err := u.Verify(public(key))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(claim, got); diff != "" {
		t.Errorf("Verify gave other claims (-want +got):\n%s", diff)
	}
	for _, k := range []ed25519.PublicKey{public(other), nil} {
		if _, err := u.Verify(k); !errors.Is(err, ErrSignature) {
			t.Errorf("Verify by key %x: %v, want ErrSignature", k, err)
		}
	}
	if _, err := (Unverified{}).Verify(public(key)); !errors.Is(err, ErrSignature) {
		t.Errorf("Verify of nothing: %v, want ErrSignature", err)
	}
}

// The key and the thumbprint are those of RFC 8037, appendices A.2 and A.3.
func TestThumbprintIsThatOfTheStandard(t *testing.T) {
	pub, err := hex.DecodeString("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := jwkOf(pub).X, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"; got != want {
		t.Errorf("x = %s, want %s", got, want)
	}
	if got, want := Thumbprint(pub), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; got != want {
		t.Errorf("Thumbprint = %s, want %s", got, want)
	}
}

// The hash is that of RFC 9449, section 7.1's example token.
func TestTokenHashIsThatOfTheStandard(t *testing.T) {
	const token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
	if got, want := TokenHash(token), "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"; got != want {
		t.Errorf("TokenHash = %s, want %s", got, want)
	}
}

func TestEveryFlippedBitOfATokenIsTold(t *testing.T) {
	p, err := proof.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	a, err := claim.Sign("kid", key)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(p) * 8 {
		if _, _, err := ParseProof(flip(p, i)); err == nil {
			t.Fatalf("proof with bit %d flipped is taken", i)
		}
	}
	for i := range len(a) * 8 {
		u, err := ParseAssertion(flip(a, i))
		if err != nil {
			continue
		}
		if _, err := u.Verify(public(key)); err == nil {
			t.Fatalf("assertion with bit %d flipped is taken", i)
		}
	}
}

func flip(s string, bit int) string {
	b := []byte(s)
	b[bit/8] ^= 1 << (bit % 8)
	return string(b)
}

func TestOtherFormsOfATokenAreRefused(t *testing.T) {
	x := jwkOf(public(key)).X
	jwk := `{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`
	claims := `{"jti":"i","htm":"GET","htu":"u","iat":1,"nonce":"n"}`
	if _, _, err := ParseProof(forge(`{"typ":"dpop+jwt","alg":"EdDSA","jwk":`+jwk+`}`, claims)); err != nil {
		t.Fatalf("the one form is refused: %v", err)
	}
	for name, c := range map[string]struct{ header, claims string }{
		"no algorithm":        {`{"typ":"dpop+jwt","alg":"none","jwk":` + jwk + `}`, claims},
		"other algorithm":     {`{"typ":"dpop+jwt","alg":"HS256","jwk":` + jwk + `}`, claims},
		"other type":          {`{"typ":"JWT","alg":"EdDSA","jwk":` + jwk + `}`, claims},
		"no type":             {`{"alg":"EdDSA","jwk":` + jwk + `}`, claims},
		"other order":         {`{"alg":"EdDSA","typ":"dpop+jwt","jwk":` + jwk + `}`, claims},
		"crit":                {`{"typ":"dpop+jwt","alg":"EdDSA","jwk":` + jwk + `,"crit":["b64"]}`, claims},
		"jku":                 {`{"typ":"dpop+jwt","alg":"EdDSA","jwk":` + jwk + `,"jku":"https://x.test"}`, claims},
		"a key by id":         {`{"typ":"dpop+jwt","alg":"EdDSA","kid":"k"}`, claims},
		"private key":         {`{"typ":"dpop+jwt","alg":"EdDSA","jwk":{"crv":"Ed25519","kty":"OKP","x":"` + x + `","d":"AA"}}`, claims},
		"other curve":         {`{"typ":"dpop+jwt","alg":"EdDSA","jwk":{"crv":"X25519","kty":"OKP","x":"` + x + `"}}`, claims},
		"symmetric key":       {`{"typ":"dpop+jwt","alg":"EdDSA","jwk":{"crv":"","kty":"oct","x":"` + x + `"}}`, claims},
		"short key":           {`{"typ":"dpop+jwt","alg":"EdDSA","jwk":{"crv":"Ed25519","kty":"OKP","x":"AAAA"}}`, claims},
		"double member":       {`{"typ":"dpop+jwt","alg":"none","alg":"EdDSA","jwk":` + jwk + `}`, claims},
		"other case":          {`{"typ":"dpop+jwt","ALG":"EdDSA","jwk":` + jwk + `}`, claims},
		"space":               {`{"typ":"dpop+jwt", "alg":"EdDSA","jwk":` + jwk + `}`, claims},
		"unknown claim":       {`{"typ":"dpop+jwt","alg":"EdDSA","jwk":` + jwk + `}`, `{"jti":"i","htm":"GET","htu":"u","iat":1,"nonce":"n","sub":"x"}`},
		"double claim":        {`{"typ":"dpop+jwt","alg":"EdDSA","jwk":` + jwk + `}`, `{"jti":"i","htm":"GET","htu":"u","iat":1,"nonce":"n","nonce":"m"}`},
		"claims not object":   {`{"typ":"dpop+jwt","alg":"EdDSA","jwk":` + jwk + `}`, `[]`},
		"claims null":         {`{"typ":"dpop+jwt","alg":"EdDSA","jwk":` + jwk + `}`, `null`},
		"time not an integer": {`{"typ":"dpop+jwt","alg":"EdDSA","jwk":` + jwk + `}`, `{"jti":"i","htm":"GET","htu":"u","iat":1.5,"nonce":"n"}`},
		"trailing":            {`{"typ":"dpop+jwt","alg":"EdDSA","jwk":` + jwk + `}`, claims + "{}"},
	} {
		if _, _, err := ParseProof(forge(c.header, c.claims)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	good := forge(`{"typ":"dpop+jwt","alg":"EdDSA","jwk":`+jwk+`}`, claims)
	for name, s := range map[string]string{
		"empty": "", "two parts": "a.b", "four parts": good + ".a", "padding": good + "==", "line break": good + "\n",
		"huge": good + strings.Repeat("A", MaxSize), "no signature": good[:strings.LastIndex(good, ".")+1],
	} {
		if _, _, err := ParseProof(s); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestAProofIsNoAssertion(t *testing.T) {
	p, err := proof.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseAssertion(p); !errors.Is(err, ErrForm) {
		t.Errorf("ParseAssertion(proof): %v, want ErrForm", err)
	}
	a, err := claim.Sign("kid", key)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := ParseProof(a); !errors.Is(err, ErrForm) {
		t.Errorf("ParseProof(assertion): %v, want ErrForm", err)
	}
}

// forge signs any header and claims with the key.
func forge(header, claims string) string {
	e := base64.RawURLEncoding
	signed := e.EncodeToString([]byte(header)) + "." + e.EncodeToString([]byte(claims))
	return signed + "." + e.EncodeToString(ed25519.Sign(key, []byte(signed)))
}

func TestWhatCannotBeSignedIsAnError(t *testing.T) {
	if _, err := proof.Sign(nil); err == nil {
		t.Error("a proof is signed without a key")
	}
	if _, err := claim.Sign("kid", nil); err == nil {
		t.Error("an assertion is signed without a key")
	}
	long := proof
	long.URL = strings.Repeat("u", MaxSize)
	if _, err := long.Sign(key); err == nil {
		t.Error("a proof is signed that no reader takes")
	}
}

// Whatever the reader takes is what the signer gives, byte for byte.
func FuzzParse(f *testing.F) {
	p, err := proof.Sign(key)
	if err != nil {
		f.Fatal(err)
	}
	a, err := claim.Sign("kid", key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p)
	f.Add(a)
	f.Fuzz(func(t *testing.T, s string) {
		if got, pub, err := ParseProof(s); err == nil && pub.Equal(key.Public()) {
			again, err := got.Sign(key)
			if err != nil || again != s {
				t.Errorf("a proof is taken in another form: %q, signed again %q (%v)", s, again, err)
			}
		}
		if u, err := ParseAssertion(s); err == nil {
			if got, err := u.Verify(public(key)); err == nil {
				again, err := got.Sign(u.KeyID, key)
				if err != nil || again != s {
					t.Errorf("an assertion is taken in another form: %q, signed again %q (%v)", s, again, err)
				}
			}
		}
	})
}
