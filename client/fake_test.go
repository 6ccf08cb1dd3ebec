package client

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// server is a small real server: TLS, tokens that expire, and the contract's
// answers to what a test asks. Its routes are added by the tests.
type server struct {
	*httptest.Server
	mux *http.ServeMux

	mu       sync.Mutex
	issued   int    // tokens so far
	valid    string // the only token that the API takes
	lifetime int    // seconds
}

func newServer(t *testing.T) (*server, *Client) {
	t.Helper()
	s := &server{mux: http.NewServeMux(), lifetime: 3600}
	s.Server = httptest.NewTLSServer(s.mux)
	t.Cleanup(s.Close)
	s.mux.HandleFunc("POST /tenant/oauth2/v2.0/token", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("client_secret") != "s3cret" || r.FormValue("scope") != s.URL+"/.default" || r.FormValue("grant_type") != "client_credentials" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client","error_description":"The secret is not this application's.","correlation_id":"c-1"}`)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.issued++
		s.valid = fmt.Sprintf("token-%d", s.issued)
		fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":%d,"ext_expires_in":%d,"access_token":%q}`, s.lifetime, s.lifetime, s.valid)
	})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return s, s.client(t, ca, "s3cret")
}

func (s *server) client(t *testing.T, ca, secret string) *Client {
	t.Helper()
	c, err := New(Config{BaseURL: s.URL, Authority: s.URL + "/tenant", ClientID: "app", ClientSecret: secret, CAFile: ca, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() } // polls follow at once
	return c
}

// revoke makes the token that is out a bad one.
func (s *server) revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.valid = "none"
}

func (s *server) tokens() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issued
}

// api adds a route that wants a good token.
func (s *server) api(pattern string, h http.HandlerFunc) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		good := s.valid != "" && r.Header.Get("Authorization") == "Bearer "+s.valid
		s.mu.Unlock()
		if !good {
			refuse(w, http.StatusUnauthorized, "Unauthorized", "The token is not good")
			return
		}
		h(w, r)
	})
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"code": code, "message": message, "target": "t-1"}})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}
