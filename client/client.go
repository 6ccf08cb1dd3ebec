package client

import (
	"bytes"
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
	"time"
)

// Config says where a server is and who asks.
type Config struct {
	BaseURL      string // of the server, https; the API is below it at /api
	Authority    string // where tokens come from: the token endpoint is below it at /oauth2/v2.0/token
	ClientID     string // of the application that asks
	ClientSecret string

	// Certificate proves the application in place of a secret: its key signs an
	// assertion for each token. The authority must name the tenant by its id then.
	Certificate *tls.Certificate
	Algorithm   string // by which it signs; "": PS256 for an RSA key, ES256 for one of P-256; or RS256

	// Tokens gives the access tokens, in place of a secret or certificate: those
	// of a person who signed in ([SignIn]), or of another issuer.
	Tokens TokenSource

	// CAFile names a PEM file of the authorities that the server's certificate
	// is judged by; "" for the system's.
	CAFile string

	// Timeout bounds a call, and a silence while a package is downloaded;
	// 30 seconds where it is 0.
	Timeout time.Duration

	UserAgent string           // "swab-client" where it is ""
	Now       func() time.Time // the clock that tokens expire by; time.Now where it is nil

	// Wrap puts something around what carries requests and answers, such as a
	// trace; nil for nothing. What it sees has tokens and secrets in it.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// Client speaks to one server for one application.
type Client struct {
	base      *url.URL
	authority *url.URL
	http      *http.Client
	transport *http.Transport // below http
	tokens    TokenSource
	timeout   time.Duration
	userAgent string
	now       func() time.Time
	sleep     func(context.Context, time.Duration) error
}

// TokenSource gives access tokens.
type TokenSource interface {
	// Token returns a token that is good for a while yet. refused is one that the
	// server would not take, so that another is wanted; "" otherwise. Its error
	// says that it was a token that could not be had, and where.
	Token(ctx context.Context, refused string) (string, error)
}

// New returns a client. It does not connect yet.
func New(c Config) (*Client, error) {
	if c.Tokens != nil {
		cl, err := connect(c)
		if err == nil {
			cl.tokens = c.Tokens
		}
		return cl, err
	}
	if c.ClientID == "" || c.ClientSecret == "" && c.Certificate == nil {
		_, err := connect(c)
		return nil, errors.Join(err, errors.New("client id is missing, or what proves it: a client secret or a client certificate"))
	}
	cl, err := connect(c)
	if err != nil {
		return nil, err
	}
	own := &tokens{
		client:   cl,
		endpoint: cl.authority.JoinPath("oauth2/v2.0/token").String(),
		form: url.Values{
			"grant_type": {"client_credentials"},
			"client_id":  {c.ClientID},
			"scope":      {strings.TrimSuffix(cl.base.String(), "/") + "/.default"},
		},
		lock: make(chan struct{}, 1),
	}
	cl.tokens = own
	if c.Certificate == nil {
		own.form.Set("client_secret", c.ClientSecret)
		return cl, nil
	}
	own.form.Set("client_assertion_type", assertionType)
	own.prover, err = newProver(c.ClientID, own.endpoint, c.Certificate, c.Algorithm)
	if err != nil {
		return nil, err
	}
	return cl, nil
}

// connect makes what speaks to the server, without tokens.
func connect(c Config) (*Client, error) {
	var errs []error
	base, err := secureURL("base URL", c.BaseURL)
	errs = append(errs, err)
	authority, err := secureURL("authority", c.Authority)
	errs = append(errs, err)
	roots, err := authorities(c.CAFile)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	transport.DisableCompression = true // a package is a ZIP, and its bytes are counted
	cl := &Client{
		base:      base,
		authority: authority,
		timeout:   c.Timeout,
		userAgent: c.UserAgent,
		now:       c.Now,
		sleep:     sleep,
		transport: transport,
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if c.Wrap != nil {
		cl.http.Transport = c.Wrap(transport)
	}
	if cl.timeout <= 0 {
		cl.timeout = 30 * time.Second
	}
	if cl.userAgent == "" {
		cl.userAgent = "swab-client"
	}
	if cl.now == nil {
		cl.now = time.Now
	}
	return cl, nil
}

// Close lets go of idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

func secureURL(what, s string) (*url.URL, error) {
	if s == "" {
		return nil, fmt.Errorf("%s is missing", what)
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("%s %q is not of the form https://HOST[:PORT][/PATH]", what, u.Redacted())
	}
	return u, nil
}

func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil // the system's
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA file %s holds no PEM certificate", file)
	}
	return pool, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Bounds of answers.
const (
	maxEntity = 1 << 20  // of one thing
	maxList   = 64 << 20 // of a list of at most 10,000
)

// call makes one call of the API and reads its JSON answer into out.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any, limit int64) error {
	return c.heed(ctx, func() error { return c.try(ctx, method, path, query, in, out, limit) })
}

// maxHeed bounds how long a call waits because of limits: what the server's
// limit of a minute can ask for, where several of its nodes share it. What takes
// longer is for the caller to decide.
const maxHeed = 2 * time.Minute

// heed repeats a call that the server refuses for its limits, when it says. Such
// a call came to nothing, whatever its method.
func (c *Client) heed(ctx context.Context, try func() error) error {
	for waited := time.Duration(0); ; {
		err := try()
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Status != http.StatusTooManyRequests || e.RetryAfter == 0 {
			return err
		}
		end, bounded := ctx.Deadline()
		if waited += e.RetryAfter; waited > maxHeed || bounded && c.now().Add(e.RetryAfter).After(end) {
			return err
		}
		if ended := c.sleep(ctx, e.RetryAfter); ended != nil {
			return ended
		}
	}
}

func (c *Client) try(ctx context.Context, method, path string, query url.Values, in, out any, limit int64) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	resp, err := c.send(ctx, method, path, query, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := readAll(resp.Body, limit)
	if err != nil {
		return fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("the answer to %s %s is not the JSON expected: %w", method, path, err)
	}
	return nil
}

// send makes a call with a token, and once more with a new token where the
// first was refused. The answer is a success; a failure is an *Error.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, in any) (*http.Response, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return nil, fmt.Errorf("encode the body of %s %s: %w", method, path, err)
		}
	}
	target := *c.base.JoinPath(path)
	target.RawQuery = query.Encode()
	for refused := ""; ; {
		token, err := c.tokens.Token(ctx, refused)
		if err != nil {
			return nil, err
		}
		req, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Accept", "application/json")
		if in != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		resp, err := c.do(req)
		if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusUnauthorized && refused == "" {
			refused = token
			continue
		}
		return resp, err
	}
}

// do sends a request and makes an *Error of an answer that is no success.
func (c *Client) do(req *http.Request) (*http.Response, error) {
	req.Header.Set("User-Agent", c.userAgent)
	resp, err := c.http.Do(req)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			// A package link in the text would be a key to the package.
			return nil, fmt.Errorf("%s %s: %w", req.Method, withoutQuery(req.URL), ue.Err)
		}
		return nil, err
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // half a message is better than none
	return nil, errorOf(resp, body)
}

func withoutQuery(u *url.URL) string {
	v := *u
	v.RawQuery = ""
	return v.Redacted()
}

func readAll(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("it has over %d bytes", limit)
	}
	return data, err
}
