package server

import (
	"net/http"
	"time"
)

// How long a request may take to arrive, and an answer to be taken: writeFor, and
// a second more for each writeStep bytes. Doors that take longer, uploads, set
// deadlines of their own as the bytes come.
const (
	readFor   = 30 * time.Second
	writeFor  = 30 * time.Second
	writeStep = 64 << 10
)

// paced is an answer whose bytes must be taken in time: a client that asks and
// never reads holds no connection for long. Each write has its own deadline, so
// that a big package takes as long as it takes.
type paced struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Unwrap gives the controller of a request the writer below.
func (p *paced) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *paced) WriteHeader(status int) {
	p.extend(0)
	p.ResponseWriter.WriteHeader(status)
}

func (p *paced) Write(b []byte) (int, error) {
	p.extend(len(b))
	return p.ResponseWriter.Write(b)
}

// extend sets the deadline by the real clock, which the network has too.
func (p *paced) extend(n int) {
	_ = p.control.SetWriteDeadline(time.Now().Add(writeFor + time.Duration(n/writeStep)*time.Second)) // not every connection has one
}
