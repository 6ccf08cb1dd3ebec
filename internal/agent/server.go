package agent

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"swab/internal/device"
	"swab/internal/dpop"
	"swab/internal/wire"
)

// Paths of the device's side of a server.
const (
	pathEnrol   = "/enroll"
	pathToken   = "/device/token"
	pathKey     = "/device/key"
	pathChannel = "/device/channel"
	pathUploads = "/device/uploads"
)

// requestTimeout bounds a request without a large body, and the silence of one
// with.
const requestTimeout = 30 * time.Second

// server is the server as the device reaches it: it signs each request, keeps
// the nonce and the access token, and follows no redirect.
type server struct {
	base    *url.URL     // scheme and host, perhaps a path; no slash at the end
	client  *http.Client // for requests
	channel *http.Client // for the channel, whose bytes it paces
	device  device.ID
	clock   *clock

	mu    sync.Mutex
	key   ed25519.PrivateKey // that signs for the device now
	nonce string             // the server's last

	tokenLock chan struct{} // held by who asks for a token
	token     string
	expires   time.Time
}

// parseBase takes the address of a server as people write it.
func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(s, "/"))
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("server %.200q is not of the form https://HOST[:PORT]", s)
	}
	return u, nil
}

func newServer(base *url.URL, roots *x509.CertPool, proxy func(*http.Request) (*url.URL, error), c *clock) *server {
	// Keep-alives by the kernel find a dead peer while the agent sleeps.
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 60 * time.Second, Interval: 15 * time.Second, Count: 4,
	}}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // an upgrade needs it, and one upload at a time gains nothing by HTTP/2
	client := func(dial func(context.Context, string, string) (net.Conn, error)) *http.Client {
		return &http.Client{
			Transport: &http.Transport{
				Proxy: proxy, DialContext: dial, TLSClientConfig: c.tlsConfig(roots), Protocols: protocols,
				TLSHandshakeTimeout: 10 * time.Second, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
				MaxResponseHeaderBytes: 32 << 10, DisableCompression: true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return &server{
		base: base, clock: c, tokenLock: make(chan struct{}, 1), client: client(dialer.DialContext),
		channel: client(func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return newPaced(conn, c.device), nil
		}),
	}
}

func (s *server) close() {
	s.client.CloseIdleConnections()
	s.channel.CloseIdleConnections()
}

// request is one request before it is signed.
type request struct {
	method string
	path   string
	header http.Header
	key    ed25519.PrivateKey     // that signs the proof; nil for the present one
	bearer string                 // enrolment token
	bound  bool                   // send the access token
	body   func() ([]byte, error) // made anew for each try; nil for none
	stream func() io.Reader       // in place of body, of length bytes
	length int64
}

// answer is what the server said: at most wire.MaxEnrol bytes of it.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// refusal is an answer that is none of those hoped for.
type refusal struct {
	status int
	code   string        // wire's codes; "" where the answer has none
	text   string        // the server's, for people
	after  time.Duration // Retry-After
}

func (r *refusal) Error() string {
	s := fmt.Sprintf("the server answered %d", r.status)
	if r.code != "" {
		s += fmt.Sprintf(" %.64q", r.code)
	}
	if r.text != "" {
		s += fmt.Sprintf(": %.300q", r.text)
	}
	return s
}

// refused returns the refusal in err with one of the codes.
func refused(err error, codes ...string) bool {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		return false
	}
	for _, c := range codes {
		if r.code == c {
			return true
		}
	}
	return false
}

func (a *answer) refusal() *refusal {
	r := &refusal{status: a.status, after: retryAfter(a.header)}
	if e, err := wire.ParseErrorAnswer(a.body); err == nil {
		r.code, r.text = e.Code, e.Description
	}
	return r
}

// maxRetryAfter bounds what a server may have a device wait.
const maxRetryAfter = 5 * time.Minute

func retryAfter(h http.Header) time.Duration {
	n, err := strconv.ParseInt(h.Get("Retry-After"), 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(n)*time.Second, maxRetryAfter)
}

// do sends a request and returns the answer if its status is one of want, and
// else a *refusal. It repeats the request once with a nonce that the server asks
// for, and once with a new access token where the old one is refused.
func (s *server) do(ctx context.Context, r request, want ...int) (*answer, error) {
	nonces, tokens := 0, 0
	for {
		a, err := s.once(ctx, r)
		if err != nil {
			return nil, s.clock.explain(err)
		}
		for _, status := range want {
			if a.status == status {
				return a, nil
			}
		}
		no := a.refusal()
		switch {
		case no.code == wire.CodeUseNonce && nonces == 0 && a.header.Get("DPoP-Nonce") != "":
			nonces++
		case r.bound && no.status == http.StatusUnauthorized && tokens == 0:
			tokens++
			s.forgetToken()
		default:
			return nil, no
		}
	}
}

func (s *server) once(ctx context.Context, r request) (*answer, error) {
	token := r.bearer
	if r.bound {
		var err error
		if token, err = s.accessToken(ctx, lifeForRequest); err != nil {
			return nil, err
		}
	}
	// The time for an answer starts anew whenever the body moves on.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(requestTimeout, func() { cancel(errSilent) })
	defer idle.Stop()

	req, err := s.newRequest(ctx, r, idle)
	if err != nil {
		return nil, err
	}
	key := r.key
	if key == nil {
		key = s.present()
	}
	if err := s.sign(req.Header, key, r.method, r.path, token, r.bound); err != nil {
		return nil, err
	}
	asked := s.clock.device()
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, bare(ctx, err)
	}
	defer resp.Body.Close()
	s.listen(asked, resp)
	a, err := answerOf(resp)
	if err != nil {
		return nil, bare(ctx, err)
	}
	return a, nil
}

func answerOf(resp *http.Response) (*answer, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, wire.MaxEnrol+1))
	return &answer{resp.StatusCode, resp.Header, body}, err
}

var errSilent = errors.New("the server is silent")

// bare takes the request's line off an error, and puts the context's cause in
// the place of its plain end.
func bare(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return cause
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

func (s *server) newRequest(ctx context.Context, r request, idle *time.Timer) (*http.Request, error) {
	var body io.Reader
	length := r.length
	switch {
	case r.stream != nil:
		body = &watched{r.stream(), idle}
	case r.body != nil:
		b, err := r.body()
		if err != nil {
			return nil, err
		}
		body, length = bytes.NewReader(b), int64(len(b))
	}
	req, err := http.NewRequestWithContext(ctx, r.method, s.base.String()+r.path, body)
	if err != nil {
		return nil, err
	}
	for k, v := range r.header {
		req.Header[k] = v
	}
	req.ContentLength = length
	req.Header.Set("User-Agent", "swab-agent")
	return req, nil
}

// watched is a body that gives its request more time with each read.
type watched struct {
	io.Reader
	idle *time.Timer
}

func (w *watched) Read(p []byte) (int, error) {
	w.idle.Reset(requestTimeout)
	return w.Reader.Read(p)
}

// present is the key that signs for the device now.
func (s *server) present() ed25519.PrivateKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key
}

// succeed puts another key in its place, and drops the token that was bound to
// it.
func (s *server) succeed(key ed25519.PrivateKey) {
	s.mu.Lock()
	s.key = key
	s.mu.Unlock()
	s.forgetToken()
}

// sign adds the token, if there is one, and a proof that its bearer has the key.
func (s *server) sign(h http.Header, key ed25519.PrivateKey, method, path, token string, bound bool) error {
	proof := dpop.Proof{
		ID: dpop.NewID(), Method: method, URL: s.base.String() + path, Issued: s.clock.device().Unix(), Nonce: s.lastNonce(),
	}
	if bound {
		h.Set("Authorization", "DPoP "+token)
		proof.TokenHash = dpop.TokenHash(token)
	} else if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	signed, err := proof.Sign(key)
	if err != nil {
		return err
	}
	h.Set("DPoP", signed)
	return nil
}

func (s *server) lastNonce() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nonce
}

// maxNonce bounds a nonce that is kept; it must fit a proof.
const maxNonce = 512

// listen takes what every answer tells beside its body.
func (s *server) listen(asked time.Time, resp *http.Response) {
	s.clock.heard(asked, resp.Header, resp.TLS)
	nonce := resp.Header.Get("DPoP-Nonce")
	if nonce == "" || len(nonce) > maxNonce {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nonce = nonce
}
