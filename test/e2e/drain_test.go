package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"swab/client"
	"swab/test/installation"
)

// A server that is asked to end does so in time, whoever holds on to it.
func TestServerEndsInTimeUnderLoad(t *testing.T) {
	in, c, device, _ := installBehindRelay(t)
	_, err := c.Collect(within(t, 10*time.Second), device, client.CollectRequest{Comment: "x"})
	must(t, err)
	eventually(t, 30*time.Second, "a package is on its way", func() bool {
		_, bytes := stored(t, filepath.Join(in.Data, "uploads"))
		return bytes > 0
	})

	silent, err := net.Dial("tcp", in.Listen)
	must(t, err)
	defer silent.Close()
	dialTLS(t, in, "")
	dialTLS(t, in, "POST /enroll HTTP/1.1\r\nHost: "+in.Listen+"\r\nContent-Le")
	dialTLS(t, in, "POST /enroll HTTP/1.1\r\nHost: "+in.Listen+"\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
	deaf := dialTLS(t, in, "")
	must(t, deaf.SetWriteDeadline(time.Now().Add(2*time.Second)))
	ask := []byte(strings.Repeat("GET / HTTP/1.1\r\nHost: "+in.Listen+"\r\n\r\n", 100))
	for err == nil { // until its answers fill what lies between
		_, err = deaf.Write(ask)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection that reads nothing: %v", err)
	}

	asked := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- in.Server.Stop() }()
	select {
	case err := <-ended:
		t.Logf("it ended after %s", time.Since(asked))
		if err != nil {
			t.Errorf("the server ended with %v", err)
		}
	case <-within(t, 10*time.Second).Done():
		t.Fatal("the server did not end within 10s")
	}
}

// dialTLS opens a connection that lasts as long as the test, and sends text.
func dialTLS(t *testing.T, in *installation.Installation, text string) net.Conn {
	t.Helper()
	cred, err := in.Credentials()
	must(t, err)
	pem, err := os.ReadFile(cred.CAFile)
	must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: roots}}).DialContext(context.WithoutCancel(t.Context()), "tcp", in.Listen)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = conn.Write([]byte(text))
	must(t, err)
	return conn
}
