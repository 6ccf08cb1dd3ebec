package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// authority is the server's own TLS authority: a self-signed certificate that
// clients and devices are given as a file, and the key that signs the
// certificates under it.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Lives of certificates. The authority's is long, since a device that was
// offline for years must still find the way back; a server's is short, since it
// is made anew at each start and while the server runs.
const (
	authorityLife = 20 * 365 * 24 * time.Hour
	ServerLife    = 90 * 24 * time.Hour
)

func newAuthority(now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Swab authority of this installation"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(authorityLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	certificate, err := issue(template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &authority{certificate: certificate, key: key}, nil
}

func openAuthority(certificate, private []byte) (*authority, error) {
	cert, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("its halves don't belong together")
	}
	return &authority{certificate: cert, key: key}, nil
}

func issue(template, parent *x509.Certificate, public *ecdsa.PublicKey, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// AuthorityCertificate is the certificate of the server's own TLS authority, in DER.
func (r *Ring) AuthorityCertificate() []byte { return r.must(Authority).Public }

// AuthorityEnds is when that certificate ends. The server makes no other one.
func (r *Ring) AuthorityEnds() time.Time { return r.must(Authority).authority.certificate.NotAfter }

// ServerCertificate makes a key and a certificate of the server's own authority
// for hosts, which are DNS names or addresses. It holds for ServerLife.
func (r *Ring) ServerCertificate(hosts []string) (certificate []byte, key *ecdsa.PrivateKey, err error) {
	ca := r.must(Authority).authority
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, nil, err
	}
	now := r.now()
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "Swab server"},
		NotBefore:   now.Add(-time.Hour),
		NotAfter:    now.Add(ServerLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	cert, err := issue(template, ca.certificate, &key.PublicKey, ca.key)
	if err != nil {
		return nil, nil, fmt.Errorf("issue the server's certificate: %w", err)
	}
	return cert.Raw, key, nil
}
