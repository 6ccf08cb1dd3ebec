package gateway

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"swab/internal/audit"
	"swab/internal/device"
	"swab/internal/vault"
	"swab/internal/wire"
)

// sink is a connection whose peer reads everything and says what the test says.
type sink struct {
	net.Conn
	mu  sync.Mutex
	got bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.Write(p)
}

func (s *sink) SetWriteDeadline(time.Time) error { return nil }
func (s *sink) Close() error                     { return nil }

// heard are the messages and other frames that the peer got. Frames that no
// server may send fail the test.
func (s *sink) heard(t *testing.T) (kinds []string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	r := bytes.NewReader(s.got.Bytes())
	for r.Len() > 0 {
		h, err := ws.ReadHeader(r)
		if err != nil {
			t.Fatalf("the gateway wrote no frame: %v", err)
		}
		if err := ws.CheckHeader(h, ws.StateClientSide); err != nil {
			t.Fatalf("the gateway wrote a frame that can't be: %v", err)
		}
		body := make([]byte, h.Length)
		if n, _ := r.Read(body); n != len(body) {
			t.Fatal("the gateway wrote half a frame")
		}
		if h.OpCode != ws.OpText {
			kinds = append(kinds, string(rune('0'+h.OpCode)))
			continue
		}
		m, err := wire.DecodeServer(body)
		if err != nil {
			t.Fatalf("the gateway wrote %q: %v", body, err)
		}
		kinds = append(kinds, string(body[:min(40, len(body))]))
		_ = m
	}
	return kinds
}

// unwritten is a store to which what a fuzzed device says is not written, so
// that the disk does not set the pace.
type unwritten struct{ Devices }

func (*unwritten) Seen(context.Context, string, device.ID, device.Device) error { return nil }
func (*unwritten) Record(context.Context, string, ...audit.Entry) error         { return nil }

func masked(op ws.OpCode, fin bool, body []byte) []byte {
	f := ws.NewFrame(op, fin, bytes.Clone(body))
	f = ws.MaskFrameInPlaceWith(f, [4]byte{1, 2, 3, 4})
	b, err := ws.CompileFrame(f)
	if err != nil {
		panic(err)
	}
	return b
}

// FuzzDeviceFrames is a hostile peer of the gateway: whatever it says, and in
// whatever pieces, the gateway answers the same, in frames of its own, holds
// bounded memory, and does not fall over.
func FuzzDeviceFrames(f *testing.F) {
	h := newHouse(f, func(o *Options, _ *vault.Options) {
		at := time.Now()
		o.Now = func() time.Time { return at }
		o.Times.Leave = time.Millisecond
		o.Devices = &unwritten{o.Devices}
		o.Log = slog.New(slog.DiscardHandler)
	})
	d := enrolled(f, h, tenantID)
	hello := masked(ws.OpText, true, must(wire.EncodeDevice(d.hello())))
	ended := must(wire.EncodeDevice(wire.Ended{Action: "12345678-1234-7234-8234-123456789abc", Attempt: 1, Code: wire.EndLost}))
	progress := must(wire.EncodeDevice(wire.Progress{Action: "12345678-1234-7234-8234-123456789abc", Attempt: 1}))
	f.Add(hello, uint8(1))
	f.Add(append(bytes.Clone(hello), masked(ws.OpText, true, ended)...), uint8(3))
	f.Add(append(append(bytes.Clone(hello), masked(ws.OpText, false, progress[:9])...), masked(ws.OpContinuation, true, progress[9:])...), uint8(5))
	f.Add(append(bytes.Clone(hello), masked(ws.OpPing, true, []byte("x"))...), uint8(2))
	f.Add(append(bytes.Clone(hello), masked(ws.OpClose, true, []byte{3, 232})...), uint8(200))
	f.Add(masked(ws.OpBinary, true, []byte("x")), uint8(1))
	f.Add([]byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, uint8(1))
	f.Add([]byte{0x81, 0xfe, 0xff, 0xff, 0, 0, 0, 0}, uint8(1))
	f.Add([]byte(strings.Repeat("\x89\x80\x00\x00\x00\x00", 150)), uint8(9))
	f.Fuzz(func(t *testing.T, data []byte, piece uint8) {
		var answers [2][]string
		for i, size := range []int{len(data), int(piece)} {
			s := &sink{}
			c := &conn{net: s, device: d.id, tenant: tenantID, from: "192.0.2.1", since: h.now().UnixMilli(), expires: 1 << 40}
			h.g.table.add(c)
			for rest := bytes.Clone(data); len(rest) > 0; {
				n := min(max(size, 1), len(rest))
				if !h.g.arrived(c, rest[:n]) {
					break
				}
				rest = rest[n:]
				if len(c.rest) > wire.MaxMessage+ws.MaxHeaderSize+size || len(c.parts) > wire.MaxMessage {
					t.Fatalf("holds %d and %d bytes", len(c.rest), len(c.parts))
				}
			}
			answers[i] = s.heard(t)
			h.g.drop(c, nil)
		}
		if strings.Join(answers[0], "\n") != strings.Join(answers[1], "\n") {
			t.Errorf("at once: %q\nin pieces of %d: %q", answers[0], piece, answers[1])
		}
	})
}

// FuzzUploadHeaders reads what a device says of an upload.
func FuzzUploadHeaders(f *testing.F) {
	f.Add("action YQ==,attempt MQ==", "0", "1")
	f.Add("attempt MQ==,action YQ==", "9223372036854775807", "")
	f.Add("action YQ==,attempt MQ==,path Lw==", "-1", "2")
	f.Fuzz(func(t *testing.T, meta, n, deferred string) {
		if id, attempt, err := metadata([]string{meta}); err == nil && (id == "" || attempt < 1) {
			t.Errorf("metadata(%q) = %q, %d", meta, id, attempt)
		}
		h := http.Header{"Upload-Length": {n}, "Upload-Defer-Length": {deferred}}
		if got, err := number(h, "Upload-Length"); err == nil && got < 0 {
			t.Errorf("number(%q) = %d", n, got)
		}
		if got, err := declared(h); err == nil && (got < -1 || got == -1 && deferred != "1") {
			t.Errorf("declared(%q, %q) = %d", n, deferred, got)
		}
	})
}
