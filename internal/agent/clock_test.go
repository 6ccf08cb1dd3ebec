package agent

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"swab/internal/agent/state"
	"swab/internal/wire"
)

func off(years int) func() time.Time {
	return func() time.Time { return time.Now().AddDate(years, 0, 0) }
}

// Threat D12. The test server's certificate is valid from 1970 to 2084.
func TestADeviceWhoseClockIsYearsOffWorks(t *testing.T) {
	for _, years := range []int{-40, -5, 5, 40} {
		r := newRig(t).start(options{now: off(years)})
		c := r.connected()
		c.order(1, 1, 0)
		expect[wire.Begun](c)
		until(t, "the package is there", func() bool { return delivered(r.peer) != nil })
		offset := r.agent.clock.offset()
		if offset == nil {
			t.Fatalf("%d years off: the server's clock is not known", years)
		}
		want := time.Since(off(years)())
		if d := *offset - want; d < -2*time.Second || d > 2*time.Second {
			t.Errorf("%d years off: offset %v, want %v", years, *offset, want)
		}
		if seen := r.state.Progress().SeenTime(); time.Since(seen).Abs() > time.Minute {
			t.Errorf("%d years off: the state has the time %v", years, seen)
		}
		r.halt()
	}
}

func TestAnErrorNamesTheClockThatIsWrong(t *testing.T) {
	for _, years := range []int{-100, 100} {
		r := newRig(t).start(options{now: off(years)})
		until(t, "the clock is named", func() bool { return strings.Contains(r.log.String(), "set the device's clock") })
		r.halt()
	}
}

// After its battery died a device believes in a year before the certificate was
// made. It saw the server's time once.
func TestCertificatesAreJudgedByTheTimeOfTheLastCheckpoint(t *testing.T) {
	r := newRig(t)
	st, err := state.Open(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Begin(string(actionID(9)), 1, r.peer.log.head(t), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	r.start(options{now: off(-100)})
	r.connected()
}

func TestClockTakesNoDateOutsideTheCertificates(t *testing.T) {
	now := time.Now()
	conn := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0)}}}
	for years, taken := range map[int]bool{0: true, -2: false, 2: false, 500: false} {
		c := &clock{device: time.Now}
		c.heard(now, http.Header{"Date": {now.AddDate(years, 0, 0).UTC().Format(http.TimeFormat)}}, conn)
		if got := !c.now().IsZero(); got != taken {
			t.Errorf("a date %d years from now: taken %v", years, got)
		}
	}
	c := &clock{device: time.Now}
	for _, bad := range []string{"", "yesterday", "\x00"} {
		if c.heard(now, http.Header{"Date": {bad}}, conn); !c.now().IsZero() || c.offset() != nil {
			t.Errorf("date %q is taken", bad)
		}
	}
}

func TestOtherTLSErrorsAreLeftAlone(t *testing.T) {
	c := &clock{device: time.Now}
	err := errors.New("other")
	if c.explain(err) != err {
		t.Error("changed")
	}
	if err := c.explain(x509.CertificateInvalidError{Reason: x509.NameMismatch}); strings.Contains(err.Error(), "clock") {
		t.Errorf("explain: %v", err)
	}
}
