package agent

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"swab/internal/wire"
)

// The whole conversation goes through a proxy that knows nothing but CONNECT.
func TestAProxyIsHonoured(t *testing.T) {
	var tunnels atomic.Int64
	var open sync.WaitGroup
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			t.Errorf("the proxy is asked for %s %s", r.Method, r.URL)
			return
		}
		to, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		from, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		tunnels.Add(1)
		open.Go(func() { io.Copy(to, from); to.Close() })
		open.Go(func() { io.Copy(from, to); from.Close() })
	}))
	defer open.Wait()
	defer proxy.Close()
	through, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t).start(options{proxy: http.ProxyURL(through)})
	c := r.connected()
	c.order(1, 1, 0)
	expect[wire.Begun](c)
	until(t, "the package is there", func() bool { return delivered(r.peer) != nil })
	if n := tunnels.Load(); n < 2 {
		t.Errorf("%d tunnels, want one for the channel and one for requests", n)
	}
	r.halt()
}
