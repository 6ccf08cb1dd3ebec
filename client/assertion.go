package client

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// assertionType is the client_assertion_type of RFC 7523.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionLife is how long an assertion holds: it is made for one request.
const assertionLife = 5 * time.Minute

// prover proves an application by a certificate's key (RFC 7523), with RS256,
// PS256 or ES256.
type prover struct {
	clientID   string
	audience   string // the token endpoint
	algorithm  string
	key        crypto.Signer
	thumbprint string // x5t#S256 of RFC 7515
}

// newProver checks that the key and the algorithm go together.
func newProver(clientID, audience string, cert *tls.Certificate, algorithm string) (*prover, error) {
	key, ok := cert.PrivateKey.(crypto.Signer)
	if !ok || len(cert.Certificate) == 0 {
		return nil, errors.New("client certificate: it comes without its private key")
	}
	switch public := key.Public().(type) {
	case *rsa.PublicKey:
		if algorithm == "" {
			algorithm = "PS256"
		}
		ok = algorithm == "PS256" || algorithm == "RS256"
	case *ecdsa.PublicKey:
		if algorithm == "" {
			algorithm = "ES256"
		}
		ok = algorithm == "ES256" && public.Curve == elliptic.P256()
	default:
		ok = false
	}
	if !ok {
		return nil, errors.New("client certificate: its key is to be RSA (PS256 or RS256) or of the curve P-256 (ES256)")
	}
	sum := sha256.Sum256(cert.Certificate[0])
	return &prover{clientID, audience, algorithm, key, base64.RawURLEncoding.EncodeToString(sum[:])}, nil
}

// assert makes an assertion.
func (p *prover) assert(now time.Time) (string, error) {
	id := make([]byte, 16)
	rand.Read(id) // never fails (crypto/rand)
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic("client: plain strings can't be encoded: " + err.Error())
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := part(map[string]string{"alg": p.algorithm, "typ": "JWT", "x5t#S256": p.thumbprint}) + "." + part(map[string]any{
		"aud": p.audience, "iss": p.clientID, "sub": p.clientID, "jti": base64.RawURLEncoding.EncodeToString(id),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	signature, err := p.sign(sha256.Sum256([]byte(text)))
	if err != nil {
		return "", fmt.Errorf("sign the client assertion: %w", err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// sign is the signature in the form of RFC 7518.
func (p *prover) sign(sum [sha256.Size]byte) ([]byte, error) {
	switch p.algorithm {
	case "PS256":
		return p.key.Sign(rand.Reader, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	case "RS256":
		return p.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	}
	der, err := p.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var pair struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &pair); err != nil || len(rest) > 0 {
		return nil, errors.New("the key made no ECDSA signature")
	}
	return append(pair.R.FillBytes(make([]byte, 32)), pair.S.FillBytes(make([]byte, 32))...), nil
}

// ReadCertificate reads a PEM file that holds a certificate and its private key,
// in any order, as openssl writes them.
func ReadCertificate(file string) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		return nil, fmt.Errorf("client certificate %s: %w", file, err)
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, fmt.Errorf("client certificate %s: %w", file, err)
		}
	}
	return &pair, nil
}
