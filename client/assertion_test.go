package client

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// selfSigned is a certificate by its own key.
func selfSigned(t *testing.T, key crypto.Signer) *tls.Certificate {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestAssertionIsSignedByTheCertificatesKey(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	for _, tt := range []struct {
		key        crypto.Signer
		asked, alg string
	}{{short, "", "PS256"}, {short, "RS256", "RS256"}, {curve, "", "ES256"}} {
		cert := selfSigned(t, tt.key)
		p, err := newProver("app", "https://swab.example/t/oauth2/v2.0/token", cert, tt.asked)
		if err != nil {
			t.Fatal(err)
		}
		first, err := p.assert(now)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := p.assert(now); err != nil || again == first {
			t.Errorf("%s: two assertions are one, %v", tt.alg, err)
		}
		text, signature := first[:strings.LastIndexByte(first, '.')], decode(t, first[strings.LastIndexByte(first, '.')+1:])
		var header map[string]string
		var claims struct {
			Aud, Iss, Sub, Jti string
			Iat, Nbf, Exp      int64
		}
		unmarshal(t, text[:strings.IndexByte(text, '.')], &header)
		unmarshal(t, text[strings.IndexByte(text, '.')+1:], &claims)
		thumbprint := sha256.Sum256(cert.Certificate[0])
		if len(header) != 3 || header["alg"] != tt.alg || header["x5t#S256"] != base64.RawURLEncoding.EncodeToString(thumbprint[:]) {
			t.Errorf("header %v", header)
		}
		if claims.Aud != "https://swab.example/t/oauth2/v2.0/token" || claims.Iss != "app" || claims.Sub != "app" || claims.Jti == "" || claims.Nbf != now.Unix() || claims.Exp != now.Unix()+300 {
			t.Errorf("claims %+v", claims)
		}
		sum, holds := sha256.Sum256([]byte(text)), false
		switch tt.alg {
		case "PS256":
			holds = rsa.VerifyPSS(&short.PublicKey, crypto.SHA256, sum[:], signature, nil) == nil
		case "RS256":
			holds = rsa.VerifyPKCS1v15(&short.PublicKey, crypto.SHA256, sum[:], signature) == nil
		case "ES256":
			holds = len(signature) == 64 && ecdsa.Verify(&curve.PublicKey, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
		}
		if !holds {
			t.Errorf("the signature by %s does not hold", tt.alg)
		}
	}
	large, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		cert *tls.Certificate
		alg  string
	}{
		"P-384": {selfSigned(t, large), ""}, "Ed25519": {selfSigned(t, ed25519.NewKeyFromSeed(make([]byte, 32))), ""},
		"RSA by ES256": {selfSigned(t, short), "ES256"}, "P-256 by RS256": {selfSigned(t, curve), "RS256"}, "none": {selfSigned(t, short), "none"},
		"no key": {&tls.Certificate{Certificate: [][]byte{{1}}}, ""},
	} {
		if _, err := newProver("app", "x", tt.cert, tt.alg); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func decode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unmarshal(t *testing.T, part string, v any) {
	t.Helper()
	if err := json.Unmarshal(decode(t, part), v); err != nil {
		t.Fatal(err)
	}
}

func TestCertificateIsReadWithItsKey(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := selfSigned(t, key)
	both := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})...)
	file := filepath.Join(t.TempDir(), "soar.pem")
	if err := os.WriteFile(file, both, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadCertificate(file); err != nil || !key.Equal(got.PrivateKey) {
		t.Errorf("ReadCertificate(): %v", err)
	}
	if _, err := ReadCertificate(file + ".none"); err == nil {
		t.Error("a file that is not there was read")
	}
}
