// Package load simulates many devices in one process: they speak the real
// protocol, with keys, tokens and proofs of their own, check what they are asked
// for as an agent does, and deliver packages that are signed and verify. What they
// collect is a host without a single file, so that the cost is the protocol's.
//
// A device is a goroutine that reads from its channel, and nothing while it is
// idle. The generator's own cost is in [Cost], to be put beside the server's.
package load

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"swab/internal/catalog"
	"swab/internal/collect/host"
	"swab/internal/device"
	"swab/internal/dpop"
	"swab/internal/dsse"
	"swab/internal/wire"
)

// Config is what a fleet is made of.
type Config struct {
	Base    string // the server's base URL
	Roots   *x509.CertPool
	Token   string // an enrolment token for all of them
	Devices int

	// Took is told of each request that a device took, when it arrived. It must
	// not block.
	Took func(action string, at time.Time)
}

// Fleet is the devices. It is safe for concurrent use.
type Fleet struct {
	Config
	host    string // of Base
	web     *http.Client
	nonce   atomic.Pointer[string]
	host0   *host.Host // without a file
	dir     string
	devices []*Device
	ctx     context.Context
	stop    context.CancelFunc
	work    sync.WaitGroup
	wrong   chan error

	// Delivered counts packages that the server took whole, Lost channels that
	// ended without being told to.
	Delivered, Lost atomic.Int64
}

// sideBySide bounds how many devices enrol, sign in or connect at once.
const sideBySide = 64

// New enrols the devices.
func New(ctx context.Context, c Config) (*Fleet, error) {
	base, err := url.Parse(c.Base)
	if err != nil {
		return nil, err
	}
	f := &Fleet{Config: c, host: base.Host, wrong: make(chan error, 1)}
	f.web = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: f.tls(), MaxIdleConnsPerHost: sideBySide, MaxConnsPerHost: 2 * sideBySide,
	}}
	if f.dir, err = os.MkdirTemp("", "swab-load-"); err != nil {
		return nil, err
	}
	if f.host0, err = host.Fixture(f.dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(f.dir))
	}
	f.ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	for range c.Devices {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		f.devices = append(f.devices, &Device{fleet: f, key: key, ID: device.IDOf(key.Public().(ed25519.PublicKey))})
	}
	if err := f.each(ctx, (*Device).enrol); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (f *Fleet) tls() *tls.Config { return &tls.Config{RootCAs: f.Roots, MinVersion: tls.VersionTLS13} }

// Devices are the devices' ids.
func (f *Fleet) Devices() []string {
	ids := make([]string, len(f.devices))
	for i, d := range f.devices {
		ids[i] = string(d.ID)
	}
	return ids
}

// Connect opens the channels of all devices, each with a token that it gets first.
// It returns when all are welcomed.
func (f *Fleet) Connect(ctx context.Context) error { return f.each(ctx, (*Device).connect) }

// Wrong is why the fleet is not what it should be: the first error that no server
// should cause, such as a request that is not in the log. nil: all is well.
func (f *Fleet) Wrong() error {
	select {
	case err := <-f.wrong:
		return err
	default:
		return nil
	}
}

func (f *Fleet) fail(err error) {
	select {
	case f.wrong <- err:
	default:
	}
}

// Close ends all channels and waits for what runs.
func (f *Fleet) Close() error {
	f.stop()
	for _, d := range f.devices {
		d.drop()
	}
	f.work.Wait()
	f.web.CloseIdleConnections()
	f.host0.Close()
	return os.RemoveAll(f.dir)
}

// each has every device do something, some side by side, and ends with the first
// that can't.
func (f *Fleet) each(ctx context.Context, do func(*Device, context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		work sync.WaitGroup
		next atomic.Int64
	)
	for range min(sideBySide, len(f.devices)) {
		work.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(f.devices) {
					return
				}
				if err := do(f.devices[i], ctx); err != nil {
					cancel(fmt.Errorf("device %s: %w", f.devices[i].ID, err))
				}
			}
		})
	}
	work.Wait()
	return context.Cause(ctx)
}

// call is a request of a device.
type call struct {
	method, path string
	auth, token  string // the header, and the access token that the proof goes with
	header       map[string]string
	body         func(nonce string) []byte
	want         int
}

// do sends a request with a fresh proof, again where another nonce is asked for.
func (d *Device) do(ctx context.Context, c call) (http.Header, []byte, error) {
	for try := 0; ; try++ {
		var nonce string
		if n := d.fleet.nonce.Load(); n != nil {
			nonce = *n
		}
		var body []byte
		if c.body != nil {
			body = c.body(nonce)
		}
		req, err := http.NewRequestWithContext(ctx, c.method, d.fleet.Base+c.path, bytes.NewReader(body))
		if err != nil {
			return nil, nil, err
		}
		for k, v := range c.header {
			req.Header.Set(k, v)
		}
		if c.auth != "" {
			req.Header.Set("Authorization", c.auth)
		}
		proof, err := d.proof(c.method, c.path, c.token, nonce)
		if err != nil {
			return nil, nil, err
		}
		req.Header.Set("DPoP", proof)
		resp, err := d.fleet.web.Do(req)
		if err != nil {
			return nil, nil, err
		}
		got, err := io.ReadAll(io.LimitReader(resp.Body, wire.MaxEnrol))
		err = errors.Join(err, resp.Body.Close())
		if n := resp.Header.Get("DPoP-Nonce"); n != "" {
			d.fleet.nonce.Store(&n)
		}
		if err != nil || resp.StatusCode == c.want {
			return resp.Header, got, err
		}
		if try > 2 || !strings.Contains(string(got)+resp.Header.Get("WWW-Authenticate"), wire.CodeUseNonce) {
			return nil, nil, fmt.Errorf("%s %s: %s: %.200s", c.method, c.path, resp.Status, got)
		}
	}
}

func (d *Device) proof(method, path, token, nonce string) (string, error) {
	p := dpop.Proof{ID: dpop.NewID(), Method: method, URL: d.fleet.Base + path, Issued: 1, Nonce: nonce}
	if token != "" {
		p.TokenHash = dpop.TokenHash(token)
	}
	return p.Sign(d.key)
}

// enrol makes the device one of the token's tenant.
func (d *Device) enrol(ctx context.Context) error {
	facts := device.Facts{Name: "load-" + string(d.ID[:8]) + ".example.org", System: device.Linux, Platform: "Debian", Version: "12", AgentVersion: "0.1.0", BootID: "boot"}
	body, err := json.Marshal(wire.EnrolRequest{
		ClientName: facts.Name, AuthMethod: wire.AuthMethod, GrantTypes: []string{wire.GrantType},
		Keys: wire.JWKSet{Keys: []wire.JWK{wire.JWKOf(d.key.Public().(ed25519.PublicKey))}}, SoftwareVersion: "0.1.0",
		Facts: facts, Catalog: wire.Digest(catalog.Current().Digest()),
	})
	if err != nil {
		return err
	}
	_, got, err := d.do(ctx, call{
		method: http.MethodPost, path: "/enroll", auth: "Bearer " + d.fleet.Token, want: http.StatusCreated,
		header: map[string]string{"Content-Type": "application/json"}, body: func(string) []byte { return body },
	})
	if err != nil {
		return err
	}
	d.facts = facts
	d.pins, err = wire.ParseEnrolAnswer(got)
	return err
}

// accessToken is a token that still holds for a while.
func (d *Device) accessToken(ctx context.Context) (string, error) {
	d.signing.Lock()
	defer d.signing.Unlock()
	if time.Until(d.until) > time.Minute {
		return d.token, nil
	}
	var failed error
	_, got, err := d.do(ctx, call{
		method: http.MethodPost, path: "/device/token", want: http.StatusOK, header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
		body: func(nonce string) []byte {
			assertion, err := dpop.Assertion{
				Issuer: string(d.ID), Subject: string(d.ID), Audience: d.fleet.Base + "/device/token", ID: dpop.NewID(), Nonce: nonce,
			}.Sign(dsse.KeyID(d.key.Public().(ed25519.PublicKey)), d.key)
			failed = errors.Join(failed, err)
			return []byte(url.Values{
				"grant_type": {wire.GrantType}, "client_assertion": {assertion},
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			}.Encode())
		},
	})
	if err = errors.Join(failed, err); err != nil {
		return "", err
	}
	a, err := wire.ParseTokenAnswer(got)
	if err != nil {
		return "", err
	}
	d.token, d.until = a.AccessToken, time.Now().Add(time.Duration(a.ExpiresIn)*time.Second)
	return d.token, nil
}

// deliver uploads a package whole, in one chunk.
func (d *Device) deliver(ctx context.Context, action wire.ActionID, attempt int, zip []byte) error {
	token, err := d.accessToken(ctx)
	if err != nil {
		return err
	}
	b64 := base64.StdEncoding.EncodeToString
	h, _, err := d.do(ctx, call{method: http.MethodPost, path: "/device/uploads", auth: "DPoP " + token, token: token, want: http.StatusCreated, header: map[string]string{
		"Tus-Resumable": "1.0.0", "Upload-Defer-Length": "1",
		"Upload-Metadata": "action " + b64([]byte(action)) + ",attempt " + b64([]byte(strconv.Itoa(attempt))),
	}})
	if err != nil {
		return err
	}
	_, _, err = d.do(ctx, call{
		method: http.MethodPatch, path: "/device/uploads/" + path.Base(h.Get("Location")), auth: "DPoP " + token, token: token, want: http.StatusNoContent,
		header: map[string]string{
			"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0", "Upload-Length": strconv.Itoa(len(zip)),
		},
		body: func(string) []byte { return zip },
	})
	return err
}
