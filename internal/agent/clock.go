package agent

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// clock is what the agent knows of the time. The device's own clock may be years
// off: it dates nothing that the server judges, and is only one of two opinions
// about certificates.
type clock struct {
	device func() time.Time // the device's own
	floor  time.Time        // the server's time at the last checkpoint of an earlier run

	mu     sync.Mutex
	server time.Time // the server's, as it last said
	at     time.Time // the device's then; its monotonic reading survives a clock that is set
}

// heard takes the Date of an answer that was asked for at the given time of the
// device. A date outside the validity of the certificate under which it came is
// not believed: remembered, it could make every later certificate look expired.
func (c *clock) heard(asked time.Time, h http.Header, conn *tls.ConnectionState) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	if conn != nil && len(conn.PeerCertificates) > 0 {
		if leaf := conn.PeerCertificates[0]; date.Before(leaf.NotBefore) || date.After(leaf.NotAfter) {
			return
		}
	}
	now := c.device()
	c.mu.Lock()
	defer c.mu.Unlock()
	// Date has whole seconds and is made about half-way: the middle of both.
	c.server, c.at = date.Add(time.Second/2), now.Add(-now.Sub(asked)/2)
}

// now is the server's time, as far as the agent can tell; zero before it knows.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server.IsZero() {
		return time.Time{}
	}
	return c.server.Add(c.device().Sub(c.at))
}

// offset is the server's time minus the device's; nil where it is not known.
func (c *clock) offset() *time.Duration {
	now := c.now()
	if now.IsZero() {
		return nil
	}
	d := now.Sub(c.device().Round(0)) // Round drops the monotonic reading
	return &d
}

// judge is the time by which certificates are judged: the later of the device's
// clock and what the server's was at the last checkpoint.
func (c *clock) judge() time.Time {
	now := c.device()
	for _, t := range []time.Time{c.floor, c.now()} {
		if t.After(now) {
			now = t
		}
	}
	return now
}

// tlsConfig is how the agent speaks TLS. roots may be nil for the system's.
func (c *clock) tlsConfig(roots *x509.CertPool) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Time: c.judge}
}

// explain says what to do where the server's certificate is why err came to be.
func (c *clock) explain(err error) error {
	if errors.As(err, new(x509.UnknownAuthorityError)) {
		return fmt.Errorf("the server's certificate is of an authority that this device does not trust: "+
			"check --ca; a server's own authority is the file ca.pem in its data directory: %w", err)
	}
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	if !ok || invalid.Reason != x509.Expired || invalid.Cert == nil {
		return err
	}
	const day = time.RFC3339
	return fmt.Errorf("the server's certificate is valid from %s to %s, and by this device's clock it is %s: "+
		"set the device's clock, or renew the server's certificate: %w",
		invalid.Cert.NotBefore.UTC().Format(day), invalid.Cert.NotAfter.UTC().Format(day), c.judge().UTC().Format(day), err)
}
