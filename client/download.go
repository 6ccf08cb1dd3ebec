package client

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// PackageURI returns a link to an action's package. It needs no token, names one
// package, and holds for some minutes. The server allows few of these calls.
func (c *Client) PackageURI(ctx context.Context, id string) (string, error) {
	segment, err := segment("action", id)
	if err != nil {
		return "", err
	}
	var out struct {
		Value string `json:"value"`
	}
	if err := c.call(ctx, http.MethodGet, actionsPath+"/"+segment+"/getPackageUri", nil, nil, &out, maxEntity); err != nil {
		return "", err
	}
	if _, err := url.Parse(out.Value); err != nil || out.Value == "" {
		return "", fmt.Errorf("the server's link to the package of %s is not a URL", id)
	}
	return out.Value, nil
}

// Package is a package that was downloaded whole.
type Package struct {
	Name    string // the server's name for it, a file name without folder
	Size    int64
	SHA256  string // hex, computed here over the bytes received
	Receipt []byte // the server's signed receipt, a DSSE envelope; unchecked
}

// maxReceipt bounds a receipt: 1 MiB.
const maxReceipt = 1 << 20

// Download writes an action's package to w and fetches its receipt. Where the
// connection is cut, it goes on from there. The bytes are checked against the
// digest that the server names; what they say is for the evidence's own
// verification to judge.
func (c *Client) Download(ctx context.Context, id string, w io.Writer) (Package, error) {
	link, err := c.PackageURI(ctx, id)
	if err != nil {
		return Package{}, err
	}
	return c.DownloadURI(ctx, link, w)
}

// DownloadURI is Download by a link that PackageURI gave.
func (c *Client) DownloadURI(ctx context.Context, link string, w io.Writer) (Package, error) {
	u, err := secureURL("package link", strings.SplitN(link, "?", 2)[0])
	if err != nil {
		return Package{}, err
	}
	_, u.RawQuery, _ = strings.Cut(link, "?")
	d := &download{c: c, url: u, w: w, hash: sha256.New()}
	if err := d.all(ctx); err != nil {
		return Package{}, fmt.Errorf("download %s: %w", withoutQuery(u), err)
	}
	p := Package{Name: d.name, Size: d.offset, SHA256: hex.EncodeToString(d.hash.Sum(nil))}
	if p.Receipt, err = c.receipt(ctx, d.receipt); err != nil {
		return p, fmt.Errorf("receipt of %s: %w", withoutQuery(u), err)
	}
	return p, nil
}

// download is one package on its way.
type download struct {
	c    *Client
	url  *url.URL
	w    io.Writer
	hash hash.Hash

	started bool
	offset  int64 // received and written
	size    int64
	etag    string
	digest  string // hex, as the server says; "" where it does not
	name    string
	receipt *url.URL
}

// maxCuts is after how many cuts without a byte between them a download gives up.
const maxCuts = 5

// finalError is a failure that no new attempt mends: our own, or an answer that
// can't be the package.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

func (d *download) all(ctx context.Context) error {
	if err := d.c.persist(ctx, func() int64 { return d.offset }, d.part); err != nil {
		return err
	}
	return d.check()
}

// persist repeats try until it succeeds, fails for good, or was cut too often
// without a byte more. at says how far it is.
func (c *Client) persist(ctx context.Context, at func() int64, try func(context.Context) error) error {
	for cuts, pause := 0, firstPoll; ; pause = min(2*pause, lastPoll) {
		before := at()
		err := try(ctx)
		if err == nil {
			return nil
		}
		if e, ok := errors.AsType[*Error](err); ok && e.Status < 500 && e.Status != http.StatusTooManyRequests {
			return err
		} else if ok {
			pause = max(pause, e.RetryAfter)
		}
		if errors.As(err, new(finalError)) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if at() > before {
			cuts, pause = 0, firstPoll
		}
		if cuts++; cuts > maxCuts {
			return fmt.Errorf("cut at byte %d, and again %d times without one more: %w", at(), maxCuts, err)
		}
		if err := c.sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// part asks for what is missing and writes what comes.
func (d *download) part(ctx context.Context) error {
	ctx, heard, stop := d.c.listen(ctx)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url.String(), nil)
	if err != nil {
		return finalError{err}
	}
	if d.offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.offset))
		req.Header.Set("If-Range", d.etag)
	}
	resp, err := d.c.do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := d.head(resp); err != nil {
		return finalError{err}
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			heard()
			if d.offset += int64(n); d.offset > d.size {
				return finalError{fmt.Errorf("the server sends over the %d bytes it announced", d.size)}
			}
			d.hash.Write(buf[:n])
			if _, err := d.w.Write(buf[:n]); err != nil {
				return finalError{err}
			}
		}
		switch {
		case err == io.EOF && d.offset == d.size:
			return nil
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil && context.Cause(ctx) != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		}
	}
}

// listen returns a context that ends when heard is not called for as long as the
// client's timeout.
func (c *Client) listen(ctx context.Context) (_ context.Context, heard, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	quiet := time.AfterFunc(c.timeout, func() { cancel(fmt.Errorf("nothing came for %s", c.timeout)) })
	return ctx, func() { quiet.Reset(c.timeout) }, func() { quiet.Stop(); cancel(nil) }
}

// head takes from the first answer what the later ones must agree with.
func (d *download) head(resp *http.Response) error {
	if d.started && d.offset > 0 {
		want := fmt.Sprintf("bytes %d-%d/%d", d.offset, d.size-1, d.size)
		if resp.StatusCode != http.StatusPartialContent || resp.Header.Get("Content-Range") != want {
			return errors.New("the package changed on the server while it was downloaded; start again")
		}
		return nil
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answered %s to a plain request", resp.Status)
	}
	if resp.ContentLength < 0 {
		return errors.New("the server does not say how long the package is")
	}
	d.started, d.size, d.etag = true, resp.ContentLength, resp.Header.Get("ETag")
	d.digest = digestOf(resp.Header)
	if _, params, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition")); err == nil {
		d.name = params["filename"]
	}
	d.receipt = receiptURL(d.url, resp.Header.Values("Link"))
	return nil
}

func (d *download) check() error {
	if got := hex.EncodeToString(d.hash.Sum(nil)); d.digest != "" && got != d.digest {
		return fmt.Errorf("the bytes that came have SHA-256 %s, the server names %s", got, d.digest)
	}
	return nil
}

// digestOf reads Repr-Digest (RFC 9530): sha-256=:base64:.
func digestOf(h http.Header) string {
	for _, v := range h.Values("Repr-Digest") {
		for member := range strings.SplitSeq(v, ",") {
			b64, ok := strings.CutPrefix(strings.TrimSpace(member), "sha-256=:")
			if sum, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(b64, ":")); ok && err == nil && len(sum) == sha256.Size {
				return hex.EncodeToString(sum)
			}
		}
	}
	return ""
}

// receiptURL is where a package's receipt is: what its Link header names as
// describing it (RFC 8288), if that is at the same server, else beside it.
func receiptURL(pkg *url.URL, links []string) *url.URL {
	for _, v := range links {
		for link := range strings.SplitSeq(v, ",") {
			target, params, _ := strings.Cut(strings.TrimSpace(link), ">")
			if !strings.HasPrefix(target, "<") || !strings.Contains(strings.ReplaceAll(params, `"`, ""), "rel=describedby") {
				continue
			}
			u, err := pkg.Parse(target[1:])
			if err == nil && u.Scheme == pkg.Scheme && u.Host == pkg.Host {
				return u
			}
		}
	}
	u := *pkg
	u.Path += ".receipt"
	u.RawPath = ""
	return &u
}

// receipt fetches a receipt, from its start again after each cut.
func (c *Client) receipt(ctx context.Context, u *url.URL) (receipt []byte, err error) {
	err = c.persist(ctx, func() int64 { return 0 }, func(ctx context.Context) error {
		receipt, err = c.receiptOnce(ctx, u)
		return err
	})
	return receipt, err
}

func (c *Client) receiptOnce(ctx context.Context, u *url.URL) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, finalError{err}
	}
	resp, err := c.do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := readAll(resp.Body, maxReceipt)
	if err != nil && len(data) > maxReceipt {
		return nil, finalError{err}
	}
	return data, err
}

// AttemptBytes writes what a dead attempt of an action had delivered to w: a
// package cut off, unverified. It returns how many bytes there were.
func (c *Client) AttemptBytes(ctx context.Context, id string, attempt int, w io.Writer) (int64, error) {
	segment, err := segment("action", id)
	if err != nil {
		return 0, err
	}
	var (
		resp  *http.Response
		heard func()
		stop  func()
	)
	err = c.heed(ctx, func() (err error) {
		var listening context.Context
		listening, heard, stop = c.listen(ctx)
		resp, err = c.send(listening, http.MethodGet, fmt.Sprintf("api/swab/v1/actions/%s/attempts/%d", segment, attempt), nil, nil)
		if err != nil {
			stop()
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	defer stop()
	defer resp.Body.Close()
	n, err := io.Copy(w, readFunc(func(p []byte) (int, error) {
		heard()
		return resp.Body.Read(p)
	}))
	if err != nil {
		return n, fmt.Errorf("attempt %d of action %s, after %d bytes: %w", attempt, id, n, err)
	}
	return n, nil
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
