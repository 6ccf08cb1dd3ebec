package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"sync"
	"time"

	"github.com/coder/websocket"

	"swab/internal/catalog"
	"swab/internal/wire"
)

const (
	writeTimeout = 10 * time.Second
	helloTimeout = 15 * time.Second

	// silence is how long the agent hears nothing before it asks whether the
	// server is there. Servers ping more often, so usually it never asks.
	silence     = 2 * time.Minute
	pongTimeout = 15 * time.Second

	// maxRefusals ends a connection over which nothing but nonsense comes.
	maxRefusals = 64
)

// session is one connection of the channel.
type session struct {
	conn    *websocket.Conn
	net     net.Conn // below conn
	now     func() time.Time
	end     context.CancelCauseFunc // ends it, for a reason
	version int                     // of the channel, as agreed

	mu    sync.Mutex
	heard time.Time
}

// byeError is the server's reason to end the connection.
type byeError struct{ reason wire.Reason }

func (b *byeError) Error() string { return "the server ended the connection: " + string(b.reason) }

// protocolError is our own reason.
type protocolError struct{ err error }

func (p *protocolError) Error() string {
	return "the server does not speak the protocol: " + p.err.Error()
}
func (p *protocolError) Unwrap() error { return p.err }

// converse opens the channel and obeys what comes over it until it ends.
func (a *Agent) converse(ctx context.Context) error {
	s := &session{now: a.cfg.Now, heard: a.cfg.Now()}
	local, err := a.dial(ctx, s)
	if err != nil {
		return err
	}
	defer func() { _ = s.conn.CloseNow() }() // it may be closed already

	// The connection outlives ctx by as long as it takes to say that what was
	// running is lost.
	alive, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	s.end = end
	parted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(parted)
		a.part(s)
	})
	defer func() {
		if !stop() {
			<-parted
		}
	}()

	if err := a.hello(alive, s, local); err != nil {
		if p, ok := errors.AsType[*protocolError](err); ok {
			s.close(websocket.StatusPolicyViolation, reason(p.err))
		}
		return err
	}
	a.log.InfoContext(ctx, "connected", "server", a.server.base.String())
	a.attach(alive, s)
	defer a.detach(s)

	var watch sync.WaitGroup
	watch.Go(func() { s.watch(alive) })
	defer watch.Wait()
	defer end(nil)
	err = a.obey(ctx, alive, s)
	if cause := context.Cause(alive); cause != nil {
		return cause
	}
	if p, ok := errors.AsType[*protocolError](err); ok {
		s.close(websocket.StatusPolicyViolation, reason(p.err))
	} else if errors.As(err, new(*byeError)) || errors.Is(err, errNextKey) {
		s.close(websocket.StatusNormalClosure, "")
	}
	return err
}

// dial opens the WebSocket and returns our address on it.
func (a *Agent) dial(ctx context.Context, s *session) (local netip.Addr, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		s.net = i.Conn
		if at, err := netip.ParseAddrPort(i.Conn.LocalAddr().String()); err == nil {
			local = at.Addr().Unmap().WithZone("")
		}
	}})
	for try := 0; ; try++ {
		token, err := a.server.accessToken(ctx, lifeForChannel)
		if err != nil {
			return local, err
		}
		h := http.Header{"User-Agent": {"swab-agent"}}
		if err := a.server.sign(h, a.server.present(), http.MethodGet, pathChannel, token, true); err != nil {
			return local, err
		}
		asked := a.clock.device()
		conn, resp, err := websocket.Dial( //nolint:bodyclose // the library closes it
			ctx, a.server.base.String()+pathChannel, &websocket.DialOptions{
				HTTPClient: a.server.channel, HTTPHeader: h,
				OnPingReceived: func(context.Context, []byte) bool { s.hear(); return true },
			})
		if resp != nil {
			a.server.listen(asked, resp)
		}
		if err == nil {
			conn.SetReadLimit(wire.MaxMessage)
			s.conn = conn
			return local, nil
		}
		if resp == nil || resp.StatusCode == http.StatusSwitchingProtocols {
			return local, fmt.Errorf("open the channel: %w", a.clock.explain(bare(ctx, err)))
		}
		got, err := answerOf(resp)
		if err != nil {
			return local, fmt.Errorf("open the channel: %w", err)
		}
		no := got.refusal()
		if no.status != http.StatusUnauthorized || try > 1 {
			return local, fmt.Errorf("open the channel: %w", no)
		}
		if no.code != wire.CodeUseNonce {
			a.server.forgetToken()
		}
	}
}

// hello says what the device is and waits to be welcomed.
func (a *Agent) hello(ctx context.Context, s *session, local netip.Addr) error {
	ctx, cancel := context.WithTimeoutCause(ctx, helloTimeout, errSilent)
	defer cancel()
	facts := a.cfg.Facts()
	facts.LastAddress = spokenFrom(local, facts.Addresses)
	hello := wire.Hello{
		Versions: [2]int{wire.MinVersion, wire.Version}, Facts: facts.Clean(), Catalog: string(catalog.Current().Digest()),
		Head: a.state.Progress().Head, Running: a.running(),
	}
	if err := s.send(ctx, hello); err != nil {
		return err
	}
	m, err := s.read(ctx)
	if err != nil {
		return bare(ctx, err)
	}
	switch m := m.(type) {
	case wire.Welcome:
		s.version = m.Version
		return nil
	case wire.Bye:
		return &byeError{m.Reason}
	}
	return &protocolError{errors.New("its first message is no welcome")}
}

// obey does what the messages say. ctx is the agent's, alive the connection's.
func (a *Agent) obey(ctx, alive context.Context, s *session) error {
	refused := 0
	for {
		m, err := s.read(alive)
		if err != nil {
			return err
		}
		if wire.Since(m) > s.version {
			return &protocolError{fmt.Errorf("a %T, which version %d of the channel does not have", m, s.version)}
		}
		reasonable, err := a.handle(ctx, m)
		if err != nil {
			return err
		}
		if !reasonable {
			refused++
		}
		if refused > maxRefusals {
			return &protocolError{fmt.Errorf("%d requests that had to be refused", refused)}
		}
	}
}

// handle does what one message says, and says whether that was reasonable. Its
// error ends the connection.
func (a *Agent) handle(ctx context.Context, m wire.FromServer) (reasonable bool, err error) {
	switch m := m.(type) {
	case wire.Collect:
		return a.collect(ctx, m), nil
	case wire.Cancel:
		a.endAction(ctx, m.Action, errCancelled)
	case wire.Closed:
		a.endAction(ctx, m.Action, errClosed)
	case wire.Rotate:
		return a.wantKey(ctx)
	case wire.Rebase:
		return a.rebase(ctx, m), nil
	case wire.Bye:
		return true, &byeError{m.Reason}
	default:
		return false, &protocolError{errors.New("a second welcome")}
	}
	return true, nil
}

// part ends a connection because the agent stops: attempts first, which report
// themselves as lost.
func (a *Agent) part(s *session) {
	late := time.AfterFunc(3*time.Second, func() { s.end(errStopping) })
	defer late.Stop()
	a.settled()
	a.work.Wait()
	s.close(websocket.StatusGoingAway, "")
	s.end(errStopping)
}

// settled returns when whoever began an attempt before now has counted it in
// a.work: attempts are begun under a.mu.
func (a *Agent) settled() {
	a.mu.Lock()
	defer a.mu.Unlock()
}

func (a *Agent) attach(ctx context.Context, s *session) {
	a.mu.Lock()
	a.line = s
	a.mu.Unlock()
	a.report(ctx)
}

func (a *Agent) detach(s *session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.line == s {
		a.line = nil
	}
}

func (s *session) hear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = s.now()
}

func (s *session) quiet() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now().Sub(s.heard)
}

// read returns the next message.
func (s *session) read(ctx context.Context) (wire.FromServer, error) {
	kind, data, err := s.conn.Read(ctx)
	if err != nil {
		if code := websocket.CloseStatus(err); code != -1 {
			return nil, fmt.Errorf("the server closed the connection with status %d", code)
		}
		return nil, err
	}
	s.hear()
	if kind != websocket.MessageText {
		return nil, &protocolError{errors.New("a binary message")}
	}
	m, err := wire.DecodeServer(data)
	if err != nil {
		return nil, &protocolError{err}
	}
	return m, nil
}

// send sends a message, or ends the connection. A write that is cut off would end
// it too, so the end of whatever the message is about does not cut it off.
func (s *session) send(ctx context.Context, m wire.FromDevice) error {
	data, err := wire.EncodeDevice(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, data)
}

// close says why the connection ends. Nobody waits long for a server to agree.
func (s *session) close(code websocket.StatusCode, why string) {
	late := time.AfterFunc(time.Second, func() { s.net.Close() })
	defer late.Stop()
	_ = s.conn.Close(code, why) // the peer may be gone
}

// watch ends the connection when nothing is heard any more.
func (s *session) watch(ctx context.Context) {
	t := time.NewTimer(silence)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if quiet := s.quiet(); quiet < silence {
			t.Reset(silence - quiet)
			continue
		}
		ask, cancel := context.WithTimeout(ctx, pongTimeout)
		err := s.conn.Ping(ask)
		cancel()
		if err != nil {
			s.end(errSilent)
			return
		}
		s.hear()
		t.Reset(silence)
	}
}

// reason fits a text into a close frame.
func reason(err error) string {
	const most = 120
	s := err.Error()
	if len(s) > most {
		s = s[:most]
	}
	return s
}
