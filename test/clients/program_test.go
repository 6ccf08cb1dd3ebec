package clients

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// program returns a client that is a script of its own. It is told everything by
// its environment, trusts the server's authority in the way of its language,
// prints a line for each step, and ends with an error if anything is not as the
// contract says.
func program(interpreter, script string) func(*testing.T, site, string) []step {
	return func(t *testing.T, s site, mode string) []step {
		t.Helper()
		cmd := exec.CommandContext(within(t, 2*time.Minute), interpreter, script, mode)
		cmd.Env = append(os.Environ(),
			"SWAB_API="+s.API, "SWAB_AUTHORITY="+s.Authority, "SWAB_TENANT="+s.Tenant, "SWAB_CA="+s.CA,
			"SWAB_CLIENT_ID="+s.ClientID, "SWAB_CLIENT_SECRET="+s.Secret,
			"SWAB_CERTIFICATE="+s.Certificate, "SWAB_EC_CERTIFICATE="+s.EllipticCertificate,
			"SWAB_NAME="+s.Name, "SWAB_DEVICE="+s.Device, "SWAB_AWAY="+s.Away,
			"NODE_EXTRA_CA_CERTS="+s.CA, "REQUESTS_CA_BUNDLE="+s.CA,
			"HTTPS_PROXY="+s.Proxy, "https_proxy="+s.Proxy, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1",
		)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s %s %s: %v\n%s%s", interpreter, script, mode, err, out.String(), errs.String())
		}
		var steps []step
		for line := range strings.Lines(out.String()) {
			name, seen, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			steps = append(steps, step{name, seen})
		}
		return steps
	}
}

// The names that are written into clients of Defender.
const (
	signIn = "https://login.microsoftonline.com"
	api    = "https://api.securitycenter.microsoft.com"
)

// proxy starts an HTTP proxy that leads these names, and the server's own, to the
// server, and no other anywhere, and returns its address.
func (h *house) proxy(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			name := "https://" + strings.TrimSuffix(r.Host, ":443")
			if r.Method != http.MethodConnect || name != signIn && name != api && r.Host != h.Listen {
				t.Errorf("a client asks for %s %s", r.Method, r.Host)
				http.Error(w, "only the names that lead to the server", http.StatusForbidden)
				return
			}
			relay(w, r, h.Listen)
		}),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		stop()
		_ = server.Close()
		<-done
	})
	return "http://" + l.Addr().String()
}

// relay joins the connection of a CONNECT with one to address, until either ends.
func relay(w http.ResponseWriter, r *http.Request, address string) {
	to, err := new(net.Dialer).DialContext(r.Context(), "tcp", address)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer to.Close()
	from, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer from.Close()
	defer context.AfterFunc(r.Context(), func() { from.Close(); to.Close() })()
	if _, err := io.WriteString(from, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(from, to)
		from.Close()
	}()
	_, _ = io.Copy(to, buffered)
	to.Close()
	<-back
}

// within is the test's context with a deadline.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
