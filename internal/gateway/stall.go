package gateway

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// errStalled is returned for a body that does not arrive.
var errStalled = errors.New("the chunk stopped arriving")

// stallStep is how much has to arrive within Times.Stall.
const stallStep = 64 << 10

// stalling is a body that has to arrive at a pace: a device that sends a byte a
// second would hold an upload, a connection and a goroutine for ever.
type stalling struct {
	body io.Reader
	rc   *http.ResponseController
	each time.Duration
	got  int // since the deadline was set

	mu          sync.Mutex
	interrupted bool
}

func (g *Gateway) stalling(w http.ResponseWriter, body io.Reader) *stalling {
	s := &stalling{body: body, rc: http.NewResponseController(w), each: g.times.Stall}
	s.extend()
	return s
}

// extend gives the next step its time. A server that knows no deadlines bounds
// its requests itself.
func (s *stalling) extend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = 0
	if !s.interrupted {
		_ = s.rc.SetReadDeadline(time.Now().Add(s.each))
	}
}

// interrupt ends the reading, at once if it waits.
func (s *stalling) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interrupted = true
	_ = s.rc.SetReadDeadline(time.Unix(1, 0))
}

// done takes the deadline away, so that the connection can serve on.
func (s *stalling) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.interrupted {
		_ = s.rc.SetReadDeadline(time.Time{})
	}
}

func (s *stalling) Read(p []byte) (int, error) {
	n, err := s.body.Read(p[:min(len(p), stallStep)])
	if s.got += n; s.got >= stallStep {
		s.extend()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return n, errors.Join(errStalled, err)
	}
	return n, err
}
