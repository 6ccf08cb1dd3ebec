package gateway

import (
	"io"
	"net/http"
	"testing"

	"swab/internal/wire"
)

func TestEachRequestIsAnsweredAsADevices(t *testing.T) {
	h := newHouse(t)
	client := h.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	ids := map[string]bool{}
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/enroll", 405, "POST"},
		{"DELETE", "/device/channel", 405, "GET"},
		{"HEAD", "/device/channel", 405, "GET"},
		{"PUT", "/device/uploads", 405, "OPTIONS, POST"},
		{"GET", "/device/uploads/00000000000000000000000000000000", 405, "HEAD, PATCH"},
		{"GET", "/device", 404, ""},
		{"GET", "/device/", 404, ""},
		{"POST", "/enroll/", 404, ""},
		{"POST", "/device/../enroll", 404, ""},
		{"POST", "//enroll", 404, ""},
		{"POST", "/%65nroll", 404, ""},
		{"HEAD", "/device/uploads/..%2fx", 404, ""},
		{"PATCH", "/device/uploads/", 404, ""},
		{"PATCH", "/device/uploads/short", 404, ""},
		{"POST", "/enroll", 401, ""},
		{"OPTIONS", "/device/uploads", 204, ""},
	} {
		resp, err := client.Do(must(http.NewRequestWithContext(t.Context(), c.method, h.URL+c.path, nil)))
		if err != nil {
			t.Fatal(err)
		}
		body := must(io.ReadAll(resp.Body))
		resp.Body.Close()
		id := resp.Header.Get("request-id")
		if resp.StatusCode != c.status || resp.Header.Get("Allow") != c.allow || resp.Header.Get("DPoP-Nonce") == "" || id == "" || ids[id] {
			t.Errorf("%s %s: %s %v", c.method, c.path, resp.Status, resp.Header)
		}
		ids[id] = true
		if e, err := wire.ParseErrorAnswer(body); c.status >= 400 && c.method != "HEAD" && (err != nil || e.Code == "" || resp.Header.Get("Content-Type") != "application/json") {
			t.Errorf("%s %s: %q, want an error as RFC 6749 has it", c.method, c.path, body)
		}
	}
}
