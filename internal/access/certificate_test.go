package access_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"swab/internal/access"
	"swab/internal/auth"
	"swab/internal/fault"
)

func p256(t testing.TB) crypto.Signer {
	return made(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
}

func made[K crypto.Signer](key K, err error) func(testing.TB) crypto.Signer {
	return func(t testing.TB) crypto.Signer {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
}

// certificate is DER of a certificate by its own key.
func certificate(t testing.TB, key crypto.Signer, until time.Time, change ...func(*x509.Certificate)) []byte {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "soar"}, NotBefore: noon.Add(-time.Hour), NotAfter: until}
	for _, f := range change {
		f(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func inPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestCertificateIsTakenOrNot(t *testing.T) {
	r, _ := newRegister(t)
	admin := caller(tenant, auth.Administer)
	app, _, err := r.CreateApp(t.Context(), admin, as(access.NewApp{Name: "x"}))
	if err != nil {
		t.Fatal(err)
	}
	year := noon.AddDate(1, 0, 0)
	ec, long := certificate(t, p256(t), year), made(rsa.GenerateKey(rand.Reader, 2048))(t)
	key, err := x509.MarshalPKCS8PrivateKey(long)
	if err != nil {
		t.Fatal(err)
	}
	private := inPEM("PRIVATE KEY", key)
	curve, edwards := made(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t), made(ed25519.NewKeyFromSeed(make([]byte, 32)), nil)(t)
	big := func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3}, Value: make([]byte, auth.MaxCertificate)}}
	}
	for name, tt := range map[string]struct {
		data    []byte
		expires time.Time
		until   time.Time // zero: refused
	}{
		"P-256 in DER":            {ec, time.Time{}, year},
		"RSA in PEM, with a text": {append([]byte("subject=soar\n"), inPEM("CERTIFICATE", certificate(t, long, year))...), time.Time{}, year},
		"an earlier end":          {certificate(t, p256(t), year), noon.Add(time.Hour), noon.Add(time.Hour)},
		"a later end":             {certificate(t, p256(t), year), year.Add(time.Hour), year},
		"an expired one":          {certificate(t, p256(t), noon), time.Time{}, time.Time{}},
		"an end in the past":      {certificate(t, p256(t), year), noon, time.Time{}},
		"another curve":           {certificate(t, curve, year), time.Time{}, time.Time{}},
		"Ed25519":                 {certificate(t, edwards, year), time.Time{}, time.Time{}},
		"one that is too large":   {certificate(t, p256(t), year, big), time.Time{}, time.Time{}},
		"the same in PEM":         {inPEM("CERTIFICATE", certificate(t, p256(t), year, big)), time.Time{}, time.Time{}},
		"more than that":          {make([]byte, 1<<20), time.Time{}, time.Time{}},
		"a private key":           {private, time.Time{}, time.Time{}},
		"one with a private key":  {append(inPEM("CERTIFICATE", ec), private...), time.Time{}, time.Time{}},
		"a chain":                 {append(inPEM("CERTIFICATE", ec), inPEM("CERTIFICATE", ec)...), time.Time{}, time.Time{}},
		"nothing":                 {nil, time.Time{}, time.Time{}},
		"noise":                   {[]byte("not a certificate"), time.Time{}, time.Time{}},
	} {
		got, err := r.AddCertificate(t.Context(), admin, app.ID, as(access.NewCertificate{Data: tt.data, Expires: tt.expires}))
		switch {
		case tt.until.IsZero() && (!errors.Is(err, fault.InvalidInput) || strings.Contains(err.Error(), "BEGIN")):
			t.Errorf("%s: %v, want InvalidInput", name, err)
		case !tt.until.IsZero() && (err != nil || !got.Expires.Equal(tt.until)):
			t.Errorf("%s: until %s, %v, want %s", name, got.Expires, err, tt.until)
		}
	}
	if _, err := r.AddCertificate(t.Context(), admin, app.ID, as(access.NewCertificate{Data: ec})); !errors.Is(err, fault.InvalidInput) || !strings.Contains(err.Error(), "registered already") {
		t.Errorf("the same certificate once more: %v", err)
	}
	sum := sha256.Sum256(ec)
	if got, err := r.RemoveCertificate(t.Context(), admin, app.ID, hex.EncodeToString(sum[:])); err != nil || len(got.Certificates) != 3 {
		t.Errorf("a certificate is not called by its SHA-256: %v", err)
	}
}

// Whatever is sent as a certificate is kept as a bounded one with a good key, or
// refused as the caller's mistake.
func FuzzCertificate(f *testing.F) {
	der := certificate(f, p256(f), noon.AddDate(1, 0, 0))
	f.Add(der)
	f.Add(inPEM("CERTIFICATE", der))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := access.NewCertificate{Data: data}.Certificate(noon)
		if err != nil {
			if !errors.Is(err, fault.InvalidInput) {
				t.Errorf("%v, want InvalidInput", err)
			}
			return
		}
		cert, err := x509.ParseCertificate(got.DER)
		if err != nil || len(got.DER) > auth.MaxCertificate || got.Expires.After(cert.NotAfter) || !got.Expires.After(noon) {
			t.Errorf("kept %d bytes until %s: %v", len(got.DER), got.Expires, err)
		}
	})
}
