package access

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"time"

	"swab/internal/auth"
	"swab/internal/fault"
)

// NewCertificate is a certificate to be registered.
type NewCertificate struct {
	Name    string    // what it is for; may be empty
	Data    []byte    // X.509: DER, or PEM of one certificate
	Expires time.Time // zero, or later than the certificate's own end: its own end
}

// Bounds of an RSA key, in bits: shorter ones are guessed, longer ones make a
// token request dear.
const (
	minRSA = 2048
	maxRSA = 8192
)

// maxPEM bounds a certificate with its base64 and what people write around it.
const maxPEM = 2*auth.MaxCertificate + 1<<10

// certificate is what is to be kept of n. Who signed the certificate does not
// matter: an administrator vouches for it.
func (n NewCertificate) certificate(now time.Time) (auth.Certificate, error) {
	if err := title("the name of the certificate", n.Name, false); err != nil {
		return auth.Certificate{}, err
	}
	der, err := derOf(n.Data)
	if err != nil {
		return auth.Certificate{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return auth.Certificate{}, wrong(err, "it is not an X.509 certificate in DER or PEM")
	}
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSA || bits > maxRSA {
			return auth.Certificate{}, wrong(nil, "its RSA key is not of 2048 to 8192 bits")
		}
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return auth.Certificate{}, wrong(nil, "its elliptic curve is not P-256")
		}
	default:
		return auth.Certificate{}, wrong(nil, "its key is neither RSA nor of the curve P-256")
	}
	until := cert.NotAfter.UTC()
	if !n.Expires.IsZero() && n.Expires.Before(until) {
		until = n.Expires.UTC()
	}
	if !until.After(now) {
		return auth.Certificate{}, wrong(nil, "it has expired, or expires is in the past")
	}
	sum := sha256.Sum256(der)
	return auth.Certificate{ID: hex.EncodeToString(sum[:]), Name: n.Name, DER: der, Created: now, Expires: until}, nil
}

// derOf is the one certificate in data.
func derOf(data []byte) ([]byte, error) {
	if len(data) > maxPEM {
		return nil, wrong(nil, "it has over 16 KiB")
	}
	der := data
	if block, rest := pem.Decode(data); block != nil {
		if block.Type != "CERTIFICATE" {
			return nil, wrong(nil, "its PEM block is not a CERTIFICATE; a private key stays where it is")
		}
		if more, _ := pem.Decode(rest); more != nil || bytes.Contains(rest, []byte("PRIVATE KEY")) {
			return nil, wrong(nil, "there is more than one PEM block; send the application's certificate alone, no chain and no private key")
		}
		der = block.Bytes
	}
	if len(der) > auth.MaxCertificate {
		return nil, wrong(nil, "it has over 16 KiB")
	}
	return der, nil
}

// wrong is why a certificate is not taken. The text has nothing of it.
func wrong(cause error, why string) error {
	return fault.InvalidInput.Errorf(cause, "The certificate can't be taken: %s", why)
}
