package federation

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"swab/internal/auth"
)

// maxAnswer bounds a discovery document, and a set of keys: 1 MiB.
const maxAnswer = 1 << 20

// get fetches the keys of an issuer.
func (k *Keys) get(ctx context.Context, issuer auth.TrustedIssuer) (map[string]key, error) {
	client, err := k.client(issuer.Networks)
	if err != nil {
		return nil, err
	}
	at := issuer.Keys
	if at == "" {
		if at, err = discover(ctx, client, issuer.URL); err != nil {
			return nil, err
		}
	}
	text, err := ask(ctx, client, at)
	if err != nil {
		return nil, err
	}
	keys, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	return keys, nil
}

// client returns what carries the requests to one issuer. Its connections are
// not kept: the next fetch is an hour away, and judges the address again.
func (k *Keys) client(networks []string) (*http.Client, error) {
	roots, err := k.roots()
	if err != nil {
		return nil, err
	}
	dialer, err := k.dialer(networks)
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// roots are the authorities by which servers of issuers are judged.
func (k *Keys) roots() (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if k.Authorities == "" {
		return pool, err
	}
	if err != nil {
		pool = x509.NewCertPool() // a system without any: the file has to do
	}
	text, err := os.ReadFile(k.Authorities)
	if err != nil {
		return nil, fmt.Errorf("authorities of other issuers: %w", err)
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("authorities of other issuers: %s has no certificate in PEM", k.Authorities)
	}
	return pool, nil
}

// discover asks an issuer where its keys are. They have to be on the host that
// the record names: where the document says otherwise, it takes the word of
// whoever configured the issuer, not of the document.
func discover(ctx context.Context, client *http.Client, issuer string) (string, error) {
	of, err := address(issuer)
	if err != nil {
		return "", err
	}
	at := of.JoinPath(".well-known/openid-configuration").String()
	text, err := ask(ctx, client, at)
	if err != nil {
		return "", err
	}
	var document struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return "", fmt.Errorf("%s: not a discovery document: %w", at, err)
	}
	if document.Issuer != issuer {
		return "", fmt.Errorf("%s: is the document of issuer %.200q, not of %q", at, document.Issuer, issuer)
	}
	keys, err := address(document.Keys)
	if err != nil {
		return "", fmt.Errorf("%s: jwks_uri: %w", at, err)
	}
	if !strings.EqualFold(strings.TrimSuffix(keys.Host, ":443"), strings.TrimSuffix(of.Host, ":443")) {
		return "", fmt.Errorf("%s: the keys are at %.200q, on another host; if that is right, name it as the issuer's address of keys", at, document.Keys)
	}
	return document.Keys, nil
}

// address is a URL that may be asked.
func address(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("not a URL") // the error repeats it whole
	}
	if u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("%.200q: want https://HOST/…, without a user or fragment", text)
	}
	return u, nil
}

// ask gets what is at an address.
func ask(ctx context.Context, client *http.Client, at string) ([]byte, error) {
	if _, err := address(at); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Cache-Control", "no-cache")
	request.Header.Set("User-Agent", "swab")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode >= 300 && response.StatusCode < 400:
		return nil, fmt.Errorf("%s: leads elsewhere (%d), which is not followed: configure the address that it leads to", at, response.StatusCode)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: answered %d", at, response.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	if len(text) > maxAnswer {
		return nil, fmt.Errorf("%s: answered over %d bytes", at, maxAnswer)
	}
	return text, nil
}
