package contract

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"strings"
)

// Watch carries requests by next, and tells report of each answer that the
// document does not foresee. Bodies of files are not read for it.
func (c *Contract) Watch(next http.RoundTripper, report func(error)) http.RoundTripper {
	return watch{c, next, report}
}

type watch struct {
	contract *Contract
	next     http.RoundTripper
	report   func(error)
}

func (w watch) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	a := Answer{Status: resp.StatusCode, Header: resp.Header}
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); strings.HasSuffix(media, "json") || media == "text/plain" {
		var cut error
		a.Body, cut = io.ReadAll(resp.Body)
		resp.Body.Close()
		rest := io.Reader(http.NoBody)
		if cut != nil {
			rest = failing{cut}
		}
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(a.Body), rest))
		if cut != nil {
			return resp, nil // half an answer is no answer
		}
	}
	if err := w.contract.Check(r.Method, r.URL, a); err != nil {
		w.report(err)
	}
	return resp, nil
}

// failing is a reader whose first word is its error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
