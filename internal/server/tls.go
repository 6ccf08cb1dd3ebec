package server

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync"
	"time"

	"swab/internal/keys"
)

// certificates gives the TLS certificate of each handshake: the operator's own
// files, read again when they change, or one of the server's own authority,
// made anew when a third of its life is left. Neither needs a restart, and a
// file that does not load leaves the one before it in use.
type certificates struct {
	now    func() time.Time
	log    *slog.Logger
	load   func() (*tls.Certificate, error)
	stale  func(*tls.Certificate) bool
	mu     sync.Mutex
	cert   *tls.Certificate
	looked time.Time
}

// lookEvery is how often a handshake looks whether the certificate is stale.
const lookEvery = time.Second

// ownCertificates are of the server's own authority, for the hosts of its URLs.
func ownCertificates(ring *keys.Ring, bases []string, now func() time.Time, log *slog.Logger) (*certificates, error) {
	var hosts []string
	for _, b := range bases {
		u, err := url.Parse(b)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, u.Hostname())
	}
	c := &certificates{now: now, log: log}
	c.load = func() (*tls.Certificate, error) {
		der, key, err := ring.ServerCertificate(hosts)
		if err != nil {
			return nil, err
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		return &tls.Certificate{Certificate: [][]byte{der, ring.AuthorityCertificate()}, PrivateKey: key, Leaf: leaf}, nil
	}
	c.stale = func(cert *tls.Certificate) bool { return now().After(cert.Leaf.NotAfter.Add(-keys.ServerLife / 3)) }
	return c, c.first()
}

// fileCertificates are the operator's: a chain and its key, in PEM.
func fileCertificates(certFile, keyFile string, now func() time.Time, log *slog.Logger) (*certificates, error) {
	c := &certificates{now: now, log: log}
	var loaded [2]time.Time
	modified := func() (at [2]time.Time, err error) {
		for i, f := range []string{certFile, keyFile} {
			info, err := os.Stat(f)
			if err != nil {
				return at, err
			}
			at[i] = info.ModTime()
		}
		return at, nil
	}
	c.load = func() (*tls.Certificate, error) {
		at, err := modified()
		if err != nil {
			return nil, fmt.Errorf("TLS certificate: %w", err)
		}
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, fmt.Errorf("TLS certificate %s with key %s: %w", certFile, keyFile, err)
		}
		loaded = at
		return &cert, nil
	}
	c.stale = func(*tls.Certificate) bool {
		at, err := modified()
		return err != nil || at != loaded
	}
	return c, c.first()
}

func (c *certificates) first() (err error) {
	c.cert, err = c.load()
	c.looked = c.now()
	return err
}

// get is a tls.Config's GetCertificate.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if now.Sub(c.looked) < lookEvery && !now.Before(c.looked) {
		return c.cert, nil
	}
	c.looked = now
	if !c.stale(c.cert) {
		return c.cert, nil
	}
	cert, err := c.load()
	if err != nil {
		c.log.Error("TLS certificate could not be read again, the one before stays in use", "err", err)
		return c.cert, nil
	}
	c.log.Info("TLS certificate read again", "until", cert.Leaf.NotAfter)
	c.cert = cert
	return cert, nil
}

// ends is when the certificate in use expires.
func (c *certificates) ends() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cert.Leaf.NotAfter
}

// config is the TLS configuration of the public listener.
func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: c.get,
		NextProtos:     []string{"h2", "http/1.1"},
	}
}

func pemCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
