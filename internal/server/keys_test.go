package server_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"swab/internal/keys"
	"swab/internal/server"
)

func TestTheServerSucceedsItsTokenKeyInTime(t *testing.T) {
	dir := t.TempDir()
	published := func(s *server.Server) int {
		t.Helper()
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/common/discovery/keys", nil))
		return strings.Count(w.Body.String(), `"kid"`)
	}
	s, stop := start(t, settings(t, dir))
	if n := published(s); n != 1 {
		t.Fatalf("%d keys at the first start", n)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	later := func() time.Time { return time.Now().Add(keys.TokenKeyLife - keys.TokenAhead + time.Minute) }
	s, err := server.New(t.Context(), settings(t, dir), slog.New(slog.DiscardHandler), later)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for published(s) != 2 && ctx.Err() == nil {
		select {
		case <-look.C:
		case <-ctx.Done():
		}
	}
	if n := published(s); n != 2 {
		t.Errorf("%d keys a day before the first one ends, want the next one too", n)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
