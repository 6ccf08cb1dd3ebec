package agent

import (
	"bytes"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"swab/internal/wire"
)

func TestEnrolmentPinsWhatTheServerSays(t *testing.T) {
	r := newRig(t).start(options{})
	c := r.connected()
	id := r.state.Identity()
	if id.Pins == nil || id.Pins.Tenant != testTenant || !bytes.Equal(id.Pins.LogKey, r.peer.log.key[32:]) {
		t.Errorf("pins %+v", id.Pins)
	}
	if c.device != id.Device() || c.hello.Facts.Name != "host.test" || c.hello.Facts.LastAddress != "127.0.0.1" {
		t.Errorf("device %s says hello %+v", c.device, c.hello)
	}
	if n := r.peer.count("POST /enroll"); n != 2 { // one to be given a nonce
		t.Errorf("%d requests to enrol", n)
	}
	if strings.Contains(r.log.String(), testToken) {
		t.Error("the log has the token")
	}
	if err := r.halt(); err != nil {
		t.Errorf("Run: %v", err)
	}
	r.start(options{token: "no longer valid"})
	if again := r.connected(); again.device != c.device {
		t.Errorf("device %s after a restart, was %s", again.device, c.device)
	}
	if n := r.peer.count("POST /enroll"); n != 2 {
		t.Errorf("enrolled again")
	}
}

func TestAfterALostAnswerTheSameDeviceIsEnrolled(t *testing.T) {
	r := newRig(t)
	var n atomic.Int64
	r.peer.enrolled = func(w http.ResponseWriter) bool {
		if n.Add(1) > 2 {
			return false
		}
		sever(w)
		return true
	}
	r.start(options{})
	r.connected()
	if len(r.peer.devices) != 1 {
		t.Errorf("%d devices came of it", len(r.peer.devices))
	}
}

// The agent dies after it asked and before it heard the answer.
func TestAnAgentThatDiedWhileEnrollingIsTheSameDevice(t *testing.T) {
	r := newRig(t)
	asked, answer := make(chan struct{}, 9), make(chan struct{})
	r.peer.enrolled = func(w http.ResponseWriter) bool { asked <- struct{}{}; <-answer; sever(w); return true }
	r.start(options{})
	<-asked
	r.halt()
	close(answer)
	r.peer.set(func() { r.peer.enrolled = nil })
	r.start(options{})
	r.connected()
	if len(r.peer.devices) != 1 {
		t.Errorf("%d devices came of it", len(r.peer.devices))
	}
}

func TestWhatNoRepetitionMendsEndsTheAgent(t *testing.T) {
	for name, c := range map[string]struct {
		token string
		want  error
	}{
		"token not known": {token: "wrong", want: ErrEnrolment},
		"token not text":  {token: "a b", want: ErrEnrolment},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.start(options{token: c.token})
			select {
			case err := <-r.done:
				if !errors.Is(err, c.want) {
					t.Errorf("Run: %v, want %v", err, c.want)
				}
				r.stop()
				r.stop = nil
				r.state.Close()
			case <-time.After(soon):
				t.Fatal("the agent goes on")
			}
		})
	}
}

func TestAnAnswerForAnotherKeyIsNotTaken(t *testing.T) {
	r := newRig(t)
	r.peer.answer = func(a *wire.EnrolAnswer) { a.ClientID = "0000000000000000000000000000000000000000" }
	r.start(options{})
	until(t, "it was tried twice", func() bool { return r.peer.count("POST /enroll") > 4 })
	if r.state.Identity().Pins != nil {
		t.Error("pinned")
	}
}

func TestADeviceThatIsNoLongerEnrolledStaysAwayAndComesBack(t *testing.T) {
	r := newRig(t).start(options{})
	c := r.connected()
	r.peer.mu.Lock()
	pub := r.peer.devices[c.device]
	delete(r.peer.devices, c.device)
	clear(r.peer.tokens)
	r.peer.mu.Unlock()
	c.ws.CloseNow()
	until(t, "it is refused", func() bool { return strings.Contains(r.log.String(), wire.CodeInvalidClient) })
	r.peer.set(func() { r.peer.devices[c.device] = pub })
	r.connected()
}

func TestTokensAreKeptAndRenewed(t *testing.T) {
	r := newRig(t)
	r.start(options{})
	c := r.connected()
	for n := range 3 {
		c.order(n, 1, r.state.Progress().Head.Size)
		expect[wire.Begun](c)
		until(t, "it is delivered", func() bool {
			r.peer.mu.Lock()
			defer r.peer.mu.Unlock()
			done := 0
			for _, u := range r.peer.uploads {
				if u.length >= 0 {
					done++
				}
			}
			return done == n+1
		})
	}
	if n := r.peer.count("POST /device/token"); n != 1 {
		t.Errorf("%d tokens asked for, want 1", n)
	}
	// Soon over: a channel that lives with its token wants a fresh one.
	r.peer.set(func() { r.peer.tokenFor = time.Minute })
	r.agent.server.forgetToken()
	c.ws.CloseNow()
	c = r.connected()
	before := r.peer.count("POST /device/token")
	c.ws.CloseNow()
	r.connected()
	if r.peer.count("POST /device/token") == before {
		t.Error("the channel was opened with a token that is nearly over")
	}
}

func TestOnlyHTTPSServersAreTaken(t *testing.T) {
	for in, ok := range map[string]bool{
		"https://h": true, "https://h:1/": true, "https://h/base": true, "http://h": false, "h": false, "": false,
		"https://": false, "https://u:p@h": false, "https://h?x": false, "https://h#f": false, "file:///etc": false, "https://h\n": false,
	} {
		if _, err := parseBase(in); (err == nil) != ok {
			t.Errorf("parseBase(%q): %v", in, err)
		}
	}
}

func TestAServerOfAnotherAuthorityIsNotSpokenTo(t *testing.T) {
	r := newRig(t).start(options{roots: x509.NewCertPool()})
	until(t, "the log says what to do", func() bool {
		return strings.Contains(r.log.String(), "check --ca") && strings.Contains(r.log.String(), "ca.pem")
	})
	if n := r.peer.count("POST /enroll"); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}
