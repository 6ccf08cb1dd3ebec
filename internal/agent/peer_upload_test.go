package agent

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"swab/internal/wire"
)

func (p *peer) create(w http.ResponseWriter, r *http.Request) {
	if _, ok := p.caller(w, r); !ok {
		return
	}
	u := &peerUpload{length: -1, done: make(chan struct{})}
	for pair := range strings.SplitSeq(r.Header.Get("Upload-Metadata"), ",") {
		k, v, _ := strings.Cut(pair, " ")
		b, err := base64.StdEncoding.DecodeString(v)
		if err != nil {
			p.t.Errorf("metadata: %v", err)
		}
		switch k {
		case "action":
			u.action = string(b)
		case "attempt":
			u.attempt = string(b)
		}
	}
	p.mu.Lock()
	p.next++
	id := fmt.Sprintf("%032x", p.next)
	p.uploads[id] = u
	p.mu.Unlock()
	w.Header().Set("Location", "/device/uploads/"+id)
	w.WriteHeader(http.StatusCreated)
}

func (p *peer) upload(w http.ResponseWriter, r *http.Request) (*peerUpload, bool) {
	if _, ok := p.caller(w, r); !ok {
		return nil, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	u, ok := p.uploads[r.PathValue("id")]
	if !ok {
		refuse(w, http.StatusNotFound, wire.CodeInvalidRequest)
	}
	return u, ok
}

func (p *peer) position(w http.ResponseWriter, u *peerUpload) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Upload-Offset", strconv.Itoa(len(u.data)))
	if u.length >= 0 {
		w.Header().Set("Upload-Length", strconv.FormatInt(u.length, 10))
	}
}

func (p *peer) head(w http.ResponseWriter, r *http.Request) {
	if u, ok := p.upload(w, r); ok {
		p.position(w, u)
	}
}

func (p *peer) patch(w http.ResponseWriter, r *http.Request) {
	u, ok := p.upload(w, r)
	if !ok {
		return
	}
	p.mu.Lock()
	at := len(u.data)
	p.mu.Unlock()
	if r.Header.Get("Upload-Offset") != strconv.Itoa(at) {
		refuse(w, http.StatusConflict, wire.CodeInvalidRequest)
		return
	}
	b := make([]byte, 32<<10)
	for {
		n, err := r.Body.Read(b)
		p.mu.Lock()
		u.data = append(u.data, b[:n]...)
		p.mu.Unlock()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return
		}
	}
	if s := r.Header.Get("Upload-Length"); s != "" {
		p.mu.Lock()
		u.length, _ = strconv.ParseInt(s, 10, 64)
		if u.length != int64(len(u.data)) {
			p.t.Errorf("the package is said to have %d bytes and has %d", u.length, len(u.data))
		}
		close(u.done)
		p.mu.Unlock()
	}
	p.position(w, u)
	w.WriteHeader(http.StatusNoContent)
}

// only returns the one upload that there is, or will be.
func (p *peer) only() *peerUpload {
	p.t.Helper()
	var only *peerUpload
	until(p.t, "there is an upload", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.uploads) > 1 {
			p.t.Fatalf("%d uploads, want 1", len(p.uploads))
		}
		for _, u := range p.uploads {
			only = u
		}
		return only != nil
	})
	return only
}
