package load

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"swab/internal/audit"
	"swab/internal/catalog"
	"swab/internal/collect"
	"swab/internal/device"
	"swab/internal/evidence"
	"swab/internal/wire"
)

// Device is one of a fleet.
type Device struct {
	ID    device.ID
	fleet *Fleet
	key   ed25519.PrivateKey
	pins  wire.EnrolAnswer
	facts device.Facts

	signing sync.Mutex // one asks for a token at a time
	token   string
	until   time.Time

	mu   sync.Mutex
	conn net.Conn   // nil without a channel
	head audit.Head // of the audit log, as last proved
	had  []wire.Collect
}

// maxFrame bounds what a server sends.
const maxFrame = wire.MaxMessage

// connect opens the channel and is welcomed; then it obeys until the channel ends.
func (d *Device) connect(ctx context.Context) error {
	token, err := d.accessToken(ctx)
	if err != nil {
		return err
	}
	var nonce string
	if n := d.fleet.nonce.Load(); n != nil {
		nonce = *n
	}
	proof, err := d.proof(http.MethodGet, "/device/channel", token, nonce)
	if err != nil {
		return err
	}
	raw, err := (&tls.Dialer{Config: d.fleet.tls()}).DialContext(ctx, "tcp", d.fleet.host)
	if err != nil {
		return err
	}
	dialer := ws.Dialer{Header: ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"DPoP " + token}, "DPoP": {proof}})}
	buffered, _, err := dialer.Upgrade(raw, &url.URL{Scheme: "https", Host: d.fleet.host, Path: "/device/channel"})
	if err != nil {
		return errors.Join(err, raw.Close())
	}
	if buffered != nil { // nothing comes before the hello
		ws.PutReader(buffered)
	}
	d.mu.Lock()
	d.conn = raw
	hello := wire.Hello{
		Versions: [2]int{wire.MinVersion, wire.Version}, Facts: d.facts, Catalog: string(catalog.Current().Digest()), Head: d.head, Running: []wire.Running{},
	}
	d.mu.Unlock()
	err = d.say(hello)
	for err == nil {
		var m wire.FromServer
		if m, err = d.hear(raw); err == nil && m != nil {
			if _, ok := m.(wire.Welcome); !ok {
				err = fmt.Errorf("heard %T, want welcome", m)
			}
			break
		}
	}
	if err != nil {
		return errors.Join(err, raw.Close())
	}
	d.fleet.work.Go(func() {
		if err := d.obey(raw); err != nil && d.fleet.ctx.Err() == nil {
			d.fleet.Lost.Add(1)
		}
		_ = raw.Close() // it has ended
	})
	return nil
}

// drop ends the channel.
func (d *Device) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn != nil {
		_ = d.conn.Close() // it may have ended
	}
}

func (d *Device) say(m wire.FromDevice) error {
	data, err := wire.EncodeDevice(m)
	if err != nil {
		return err
	}
	return d.write(ws.NewTextFrame(data))
}

func (d *Device) write(f ws.Frame) error {
	var b bytes.Buffer
	if err := ws.WriteFrame(&b, ws.MaskFrameInPlace(f)); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := d.conn.Write(b.Bytes())
	return err
}

// hear reads one frame: a message, or nil for what is dealt with here.
func (d *Device) hear(conn net.Conn) (wire.FromServer, error) {
	h, err := ws.ReadHeader(conn)
	if err != nil {
		return nil, err
	}
	if h.Length > maxFrame {
		return nil, fmt.Errorf("a frame of %d bytes", h.Length)
	}
	body := make([]byte, h.Length)
	if _, err := io.ReadFull(conn, body); err != nil {
		return nil, err
	}
	switch h.OpCode {
	case ws.OpPing:
		return nil, d.write(ws.NewPongFrame(body))
	case ws.OpText:
		return wire.DecodeServer(body)
	case ws.OpClose:
		return nil, io.EOF
	}
	return nil, nil
}

// obey takes what the server asks for until the channel ends.
func (d *Device) obey(conn net.Conn) error {
	for {
		m, err := d.hear(conn)
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case wire.Collect:
			if err := d.take(m); err != nil {
				d.fleet.fail(fmt.Errorf("device %s, action %s: %w", d.ID, m.Action, err))
				return err
			}
		case wire.Bye:
			return fmt.Errorf("the server ends the channel: %s", m.Reason)
		}
	}
}

// take checks a request as an agent does, says that it is begun, and delivers a
// package.
func (d *Device) take(c wire.Collect) error {
	arrived := time.Now()
	d.mu.Lock()
	again := slices.ContainsFunc(d.had, func(h wire.Collect) bool { return h.Action == c.Action && h.Attempt == c.Attempt })
	head, leaves, err := audit.Proof(c.Proof).Check(string(d.pins.Tenant), ed25519.PublicKey(d.pins.LogKey), d.head)
	if err == nil && !slices.ContainsFunc(leaves, func(l audit.Leaf) bool { return l.Object == string(c.Action) && l.Device == string(d.ID) }) {
		err = errors.New("the request is not in the log")
	}
	if err == nil {
		d.head = head
		d.had = append(d.had[max(0, len(d.had)-15):], c)
	}
	d.mu.Unlock()
	if err != nil || again {
		return err
	}
	if d.fleet.Took != nil {
		d.fleet.Took(string(c.Action), arrived)
	}
	if err := d.say(wire.Begun{Action: c.Action, Attempt: c.Attempt, Head: head}); err != nil {
		return nil //nolint:nilerr // the channel is gone, which the next hello settles
	}
	d.fleet.work.Go(func() {
		if err := d.collect(d.fleet.ctx, c); err != nil && d.fleet.ctx.Err() == nil {
			_ = d.say(wire.Ended{Action: c.Action, Attempt: c.Attempt, Code: wire.EndLost, Text: "the upload failed"}) // where the channel is gone, the next hello says it
		}
	})
	return nil
}

// collect makes a package of a host without a file and delivers it.
func (d *Device) collect(ctx context.Context, c wire.Collect) error {
	plan, ok := catalog.Current().Plan(string(c.Profile), string(device.Linux))
	if !ok {
		return fmt.Errorf("no plan for the profile %s", c.Profile)
	}
	var zip bytes.Buffer
	if err := collect.Package(ctx, collect.Options{
		Plan: plan, Host: d.fleet.host0, Key: d.key, Bounds: evidence.Bounds{PackageBytes: 1 << 20, DeadlineSeconds: 60},
		Device:   evidence.DeviceFacts{ID: d.ID, Name: d.facts.Name, OS: d.facts.System, Platform: d.facts.Platform, Version: d.facts.Version, Key: d.key.Public().(ed25519.PublicKey)},
		Agent:    evidence.AgentFacts{Version: d.facts.AgentVersion},
		ActionID: string(c.Action), TenantID: string(d.pins.Tenant), Attempt: c.Attempt, Commitment: string(c.Commitment), Checkpoint: c.Proof.Checkpoint,
	}, &zip); err != nil {
		return err
	}
	// The server takes an upload once it has heard that the attempt is begun.
	for wait := 5 * time.Millisecond; ; wait *= 2 {
		err := d.deliver(ctx, c.Action, c.Attempt, zip.Bytes())
		if err == nil {
			d.fleet.Delivered.Add(1)
			return nil
		}
		if wait > time.Second {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}
