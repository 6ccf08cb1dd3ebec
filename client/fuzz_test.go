package client

import (
	"net/http"
	"net/url"
	"testing"
)

func FuzzAnswerOfAServer(f *testing.F) {
	f.Add(`</r>; rel="describedby"`, "sha-256=:AAAA:", `{"error":{"code":"x","message":"y","target":"z"}}`, "5")
	f.Add(`<//evil/r>; rel="describedby"`, "sha-256=:", `{"error":"invalid_client"}`, "-1")
	pkg, _ := url.Parse("https://host:1/p/a.zip?s=1")
	f.Fuzz(func(t *testing.T, link, digest, body, retry string) {
		if u := receiptURL(pkg, []string{link}); u.Scheme != pkg.Scheme || u.Host != pkg.Host {
			t.Errorf("receiptURL(%q) = %s: another server", link, u)
		}
		if d := digestOf(http.Header{"Repr-Digest": {digest}}); len(d) != 0 && len(d) != 64 {
			t.Errorf("digestOf(%q) = %q", digest, d)
		}
		e := errorOf(&http.Response{StatusCode: 400, Header: http.Header{"Retry-After": {retry}}}, []byte(body))
		if e.Code == "" || e.RetryAfter < 0 {
			t.Errorf("errorOf(%q) = %+v", body, e)
		}
	})
}

func FuzzLinkToTheNextPage(f *testing.F) {
	for _, link := range []string{"https://host/api/machines?$filter=x&$skiptoken=a%2Bb", "?$skiptoken=", "%zz", "?a;b", "//evil/?%24skiptoken=x"} {
		f.Add(link)
	}
	f.Fuzz(func(t *testing.T, link string) {
		query, err := next("api/machines", link, url.Values{"$skiptoken": {"now"}})
		if token := query.Get("$skiptoken"); err == nil && (token == "" || token == "now") {
			t.Errorf("next(%q) leads nowhere: %v", link, query)
		}
	})
}
