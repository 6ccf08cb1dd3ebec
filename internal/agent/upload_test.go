package agent

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"swab/internal/wire"
)

// hold makes requests of a method wait, after telling so.
func hold(method string, release <-chan struct{}, held chan<- struct{}) func(http.ResponseWriter, *http.Request) bool {
	return func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != method {
			return false
		}
		held <- struct{}{}
		<-release
		return true
	}
}

// sever ends a request's connection without an answer.
func sever(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		conn.Close()
	}
}

func TestAnUploadGoesOnWhereItBroke(t *testing.T) {
	const size = 20<<20 + 12345
	for name, disturb := range map[string]func(n int64, p *peer, w http.ResponseWriter, r *http.Request) bool{
		"cut before a byte": func(n int64, _ *peer, w http.ResponseWriter, _ *http.Request) bool { sever(w); return true },
		"cut within a chunk": func(n int64, p *peer, w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPatch {
				keep(p, r, 1_000_000*n)
			}
			sever(w)
			return true
		},
		"answer lost": func(_ int64, p *peer, w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPatch {
				keep(p, r, 1<<40)
			}
			sever(w)
			return true
		},
		"overloaded": func(_ int64, _ *peer, w http.ResponseWriter, _ *http.Request) bool {
			refuse(w, http.StatusServiceUnavailable, wire.CodeUnavailable)
			return true
		},
		"locked": func(_ int64, _ *peer, w http.ResponseWriter, _ *http.Request) bool {
			refuse(w, http.StatusConflict, wire.CodeInvalidRequest)
			return true
		},
		"nonces gone": func(_ int64, p *peer, w http.ResponseWriter, _ *http.Request) bool {
			p.set(func() { clear(p.nonces) })
			return false
		},
		"tokens gone": func(_ int64, p *peer, w http.ResponseWriter, _ *http.Request) bool {
			p.set(func() { clear(p.tokens) })
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			var n atomic.Int64
			r.peer.before = func(w http.ResponseWriter, req *http.Request) bool {
				if !strings.HasPrefix(req.URL.Path, "/device/uploads") {
					return false
				}
				if k := n.Add(1); k%2 == 1 && k < 12 { // every other one, for a while
					return disturb(k, r.peer, w, req)
				}
				return false
			}
			r.start(options{make: makeBytes(size)})
			c := r.connected()
			c.order(1, 1, 0)
			expect[wire.Begun](c)
			until(t, "the package is there", func() bool { return delivered(r.peer) != nil })
			if got := delivered(r.peer); !bytes.Equal(got.data, packageBytes(size)) {
				t.Errorf("the package arrived otherwise: %d bytes", len(got.data))
			}
		})
	}
}

// keep takes up to most bytes of a PATCH's body into the upload, as a server
// does that is cut off then.
func keep(p *peer, r *http.Request, most int64) {
	b, _ := io.ReadAll(io.LimitReader(r.Body, most))
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.uploads[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
	if r.Header.Get("Upload-Offset") != strconv.Itoa(len(u.data)) {
		return
	}
	u.data = append(u.data, b...)
	if l := r.Header.Get("Upload-Length"); l == strconv.Itoa(len(u.data)) {
		u.length = int64(len(u.data))
		close(u.done)
	}
}

// delivered is the upload that is complete, if there is one.
func delivered(p *peer) *peerUpload {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.uploads {
		if u.length >= 0 {
			return u
		}
	}
	return nil
}

func TestAnUploadThatTheServerLostEndsTheAttempt(t *testing.T) {
	r := newRig(t)
	began, release := make(chan string, 1), make(chan struct{})
	r.start(options{make: makeUntil(began, release)})
	c := r.connected()
	c.order(1, 1, 0)
	expect[wire.Begun](c)
	r.peer.only()
	r.peer.set(func() { clear(r.peer.uploads) })
	close(release)
	if got := expect[wire.Ended](c); got.Code != wire.EndLost {
		t.Errorf("ended %+v", got)
	}
}

func TestAServerThatForgotAcknowledgedBytesHasLostTheUpload(t *testing.T) {
	r := newRig(t)
	began, release := make(chan string, 1), make(chan struct{})
	r.start(options{make: makeUntil(began, release)})
	c := r.connected()
	c.order(1, 1, 0)
	expect[wire.Begun](c)
	until(t, "something has arrived", func() bool {
		r.peer.mu.Lock()
		defer r.peer.mu.Unlock()
		for _, u := range r.peer.uploads {
			return len(u.data) > 0
		}
		return false
	})
	u := r.peer.only()
	r.peer.set(func() { u.data = nil })
	close(release)
	if got := expect[wire.Ended](c); got.Code != wire.EndLost {
		t.Errorf("ended %+v", got)
	}
}

func TestAPackageThatIsTooLargeForTheServerFails(t *testing.T) {
	r := newRig(t)
	r.peer.before = func(w http.ResponseWriter, req *http.Request) bool {
		if req.Method == http.MethodPatch {
			refuse(w, http.StatusRequestEntityTooLarge, wire.CodeInvalidRequest)
		}
		return req.Method == http.MethodPatch
	}
	r.start(options{})
	c := r.connected()
	c.order(1, 1, 0)
	expect[wire.Begun](c)
	if got := expect[wire.Ended](c); got.Code != wire.EndFailed {
		t.Errorf("ended %+v", got)
	}
}

// A stolen server names places to go to. The agent goes to none of them.
func TestTheAgentGoesNowhereButToItsServer(t *testing.T) {
	var elsewhere atomic.Int64
	other := newPeer(t)
	other.before = func(http.ResponseWriter, *http.Request) bool { elsewhere.Add(1); return false }
	r := newRig(t)
	id := strings.Repeat("ab", 16)
	var redirected atomic.Bool
	r.peer.before = func(w http.ResponseWriter, req *http.Request) bool {
		switch {
		case req.Method == http.MethodPost && req.URL.Path == pathUploads:
			r.peer.set(func() { r.peer.uploads[id] = &peerUpload{length: -1, done: make(chan struct{})} })
			w.Header().Set("Location", other.http.URL+"/../../elsewhere/"+id+"?x=y")
			w.WriteHeader(http.StatusCreated)
			return true
		case req.Method == http.MethodPatch && !redirected.Swap(true):
			http.Redirect(w, req, other.http.URL+"/steal", http.StatusTemporaryRedirect)
			return true
		}
		return false
	}
	r.start(options{})
	c := r.connected()
	c.order(1, 1, 0)
	expect[wire.Begun](c)
	until(t, "the package is there", func() bool { return delivered(r.peer) != nil })
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("the agent made %d requests elsewhere", n)
	}
}

func TestALocationThatNamesNoUploadFailsTheAttempt(t *testing.T) {
	for _, location := range []string{"", "/device/uploads/", "/device/uploads/../../etc/passwd", "http://[::1", "/" + strings.Repeat("AB", 16), "/" + strings.Repeat("a", 31)} {
		t.Run(location, func(t *testing.T) {
			r := newRig(t)
			r.peer.before = func(w http.ResponseWriter, req *http.Request) bool {
				if req.URL.Path != pathUploads {
					return false
				}
				w.Header().Set("Location", location)
				w.WriteHeader(http.StatusCreated)
				return true
			}
			r.start(options{})
			c := r.connected()
			c.order(1, 1, 0)
			expect[wire.Begun](c)
			if got := expect[wire.Ended](c); got.Code != wire.EndFailed {
				t.Errorf("ended %+v", got)
			}
			if n := r.peer.count("PATCH " + location); n != 0 {
				t.Error("the agent went there")
			}
		})
	}
}

// The creation may arrive before the word that the attempt is begun.
func TestAnUploadThatIsCreatedTooEarlyIsCreatedAgain(t *testing.T) {
	r := newRig(t)
	var n atomic.Int64
	r.peer.before = func(w http.ResponseWriter, req *http.Request) bool {
		if req.URL.Path != pathUploads || n.Add(1) > 3 {
			return false
		}
		refuse(w, http.StatusGone, wire.CodeInvalidRequest)
		return true
	}
	r.start(options{})
	c := r.connected()
	c.order(1, 1, 0)
	expect[wire.Begun](c)
	until(t, "the package is there", func() bool { return delivered(r.peer) != nil })
}

func TestASmallPackageGoesInOneChunk(t *testing.T) {
	r := newRig(t)
	r.start(options{make: makeBytes(300_000)})
	c := r.connected()
	asked := time.Now()
	c.order(1, 1, 0)
	expect[wire.Begun](c)
	until(t, "the package is there", func() bool { return delivered(r.peer) != nil })
	t.Logf("asked for to delivered: %s", time.Since(asked))
	patches := 0
	r.peer.mu.Lock()
	defer r.peer.mu.Unlock()
	for call, n := range r.peer.calls {
		if strings.HasPrefix(call, "PATCH") {
			patches += n
		}
	}
	if patches > 2 { // the nonce may ask for one more
		t.Errorf("%d chunks", patches)
	}
}

// What the agent holds of a package is bounded by two chunks, however fast it is
// made and however slow it goes.
func TestAMakerWaitsForTheUpload(t *testing.T) {
	u := newUpload(nil, actionID(1), 1, nil, func(int64) {})
	ctx, cancel := context.WithCancel(t.Context())
	wrote := make(chan int, 1)
	go func() {
		n, _ := u.writer(ctx).Write(make([]byte, 100<<20))
		wrote <- n
	}()
	until(t, "memory is full", func() bool { u.mu.Lock(); defer u.mu.Unlock(); return u.size == chunksHeld*chunkBytes })
	held := func() (n int64) {
		u.mu.Lock()
		defer u.mu.Unlock()
		for _, s := range u.held {
			n += int64(cap(s))
		}
		return n
	}
	if held() != chunksHeld*chunkBytes {
		t.Errorf("%d bytes are held", held())
	}
	if err := u.acknowledged(chunkBytes); err != nil {
		t.Fatal(err)
	}
	until(t, "there was room", func() bool { return held() == chunksHeld*chunkBytes })
	cancel()
	if n := <-wrote; n != 3*chunkBytes {
		t.Errorf("took %d bytes, want three chunks", n)
	}
	runtime.GC()
}

func TestSnapshotsSurviveWhatIsWrittenAfterThem(t *testing.T) {
	u := newUpload(nil, actionID(1), 1, nil, func(int64) {})
	w := u.writer(t.Context())
	w.Write([]byte("first "))
	c := u.snapshot()
	w.Write([]byte("second"))
	if err := u.acknowledged(3); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(c.reader()); string(got) != "first " || c.last {
		t.Errorf("the snapshot reads %q, last %v", got, c.last)
	}
	u.finish()
	c = u.snapshot()
	if got, _ := io.ReadAll(c.reader()); string(got) != "st second" || !c.last || c.offset != 3 {
		t.Errorf("the next one reads %q from %d, last %v", got, c.offset, c.last)
	}
	for _, offset := range []int64{-1, 2, 13} {
		if err := u.acknowledged(offset); err == nil {
			t.Errorf("offset %d is taken", offset)
		}
	}
}

func TestTheFirstBytesDoNotWaitForMore(t *testing.T) {
	r := newRig(t)
	began, release := make(chan string, 1), make(chan struct{})
	r.start(options{make: makeUntil(began, release)})
	c := r.connected()
	c.order(1, 1, 0)
	expect[wire.Begun](c)
	until(t, "they are there", func() bool {
		r.peer.mu.Lock()
		defer r.peer.mu.Unlock()
		for _, u := range r.peer.uploads {
			return string(u.data) == "begun"
		}
		return false
	})
	close(release)
	await(t, "the end", r.peer.only().done)
}

func TestWriteAfterTheEndOfAnUploadFails(t *testing.T) {
	base, err := parseBase("https://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	srv := newServer(base, nil, nil, &clock{device: time.Now})
	_, srv.key, _ = ed25519.GenerateKey(nil)
	u := newUpload(srv, actionID(1), 1, log, func(int64) {})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errCancelled)
	if err := u.run(ctx); !errors.Is(err, errCancelled) {
		t.Errorf("run: %v, want the cause of its end", err)
	}
	if _, err := u.writer(t.Context()).Write([]byte("x")); err == nil {
		t.Error("written")
	}
}
