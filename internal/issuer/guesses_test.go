package issuer

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Guessing at one address is slowed down, and the application's owner at another
// is served all the while.
func TestGuessingASecretLocksOutTheGuesserAlone(t *testing.T) {
	in := install(t)
	s := New(Config{Keys: in.ring, Tokens: in.tokens, Tally: in.tally, Origin: in.origin, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	ask := func(from, id, secret string) *httptest.ResponseRecorder {
		form := formOf("grant_type", "client_credentials", "client_id", id, "client_secret", secret, "scope", scope)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, in.URL+tokenPath, strings.NewReader(form))
		r.Header = formHeader.Clone()
		r.RemoteAddr = from + ":1234"
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w
	}
	const guesser, owner = "192.0.2.66", "192.0.2.7"
	for range 10 {
		if w := ask(guesser, clientID, "guess"); w.Code != http.StatusUnauthorized {
			t.Fatalf("a guess: %d %s", w.Code, w.Body)
		}
	}
	for _, try := range []string{"guess", secret} { // a right guess is worth no more
		w := ask(guesser, strings.ToUpper(clientID), try)
		wait, _ := strconv.Atoi(w.Header().Get("Retry-After"))
		if w.Code != http.StatusTooManyRequests || wait < 1 || wait > 60 || !strings.Contains(w.Body.String(), `"error":"temporarily_unavailable","error_description":"AADSTS90055: `) {
			t.Errorf("with %q: %d, Retry-After %d: %s", try, w.Code, wait, w.Body)
		}
	}
	if w := ask(owner, clientID, secret); w.Code != http.StatusOK {
		t.Errorf("the owner at another address: %d %s", w.Code, w.Body)
	}
	if w := ask(guesser, "00000000-0000-0000-0000-000000000001", "guess"); w.Code != http.StatusUnauthorized {
		t.Errorf("another application: %d %s", w.Code, w.Body)
	}
}
