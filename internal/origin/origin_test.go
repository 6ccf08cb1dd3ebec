package origin

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func set(t testing.TB) *Set {
	t.Helper()
	s, err := New([]string{"https://Swab.example:8443/", "https://eu.swab.example", "https://[2001:db8::1]"}, []string{"10.0.0.0/8", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBaseURLsAreCheckedAllAtOnce(t *testing.T) {
	if diff := cmp.Diff([]string{"https://swab.example:8443", "https://eu.swab.example", "https://[2001:db8::1]"}, set(t).Bases()); diff != "" {
		t.Error(diff)
	}
	_, err := New([]string{"swab.example", "https://h/path", "ftp://h", "https://u:p@h", "https://0.0.0.0:443", "https://h?x"}, []string{"10.0.0.1"})
	if err == nil || strings.Count(err.Error(), "\n") != 6 {
		t.Errorf("want seven complaints, got: %v", err)
	}
	if _, err := New(nil, nil); err == nil {
		t.Error("no base URL at all is taken")
	}
	if s, err := New([]string{"https://h:443"}, nil); err != nil || s.Bases()[0] != "https://h" {
		t.Errorf("the scheme's own port is written out: %v, %v", s, err)
	}
}

func TestTheBaseURLIsNeverMadeFromAHeader(t *testing.T) {
	const first = "https://swab.example:8443"
	for _, c := range []struct{ name, peer, host, forwarded, want string }{
		{"first", "192.0.2.1:1", "swab.example:8443", "", first},
		{"case", "192.0.2.1:1", "SWAB.EXAMPLE:8443", "", first},
		{"second", "192.0.2.1:1", "eu.swab.example", "", "https://eu.swab.example"},
		{"second with its port", "192.0.2.1:1", "eu.swab.example:443", "", "https://eu.swab.example"},
		{"IPv6", "192.0.2.1:1", "[2001:db8::1]", "", "https://[2001:db8::1]"},
		{"IPv6 with its port", "192.0.2.1:1", "[2001:db8::1]:443", "", "https://[2001:db8::1]"},
		{"another port", "192.0.2.1:1", "eu.swab.example:444", "", first},
		{"a stranger's host", "192.0.2.1:1", "attacker.example", "", first},
		{"none", "192.0.2.1:1", "", "", first},
		{"path in the host", "192.0.2.1:1", "eu.swab.example/x", "", first},
		{"forwarded by a stranger", "192.0.2.1:1", "swab.example:8443", "eu.swab.example", first},
		{"forwarded by a proxy", "10.1.2.3:1", "backend:80", "eu.swab.example", "https://eu.swab.example"},
		{"the proxy's word counts, not the client's", "10.1.2.3:1", "backend:80", "attacker.example, eu.swab.example", "https://eu.swab.example"},
		{"a stranger's host through a proxy", "10.1.2.3:1", "backend:80", "attacker.example", first},
	} {
		r := &http.Request{RemoteAddr: c.peer, Host: c.host, Header: http.Header{}}
		r.Header.Set("Forwarded", "host=attacker.example;proto=http")
		r.Header.Set("X-Forwarded-Proto", "http")
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-Host", c.forwarded)
		}
		if got := set(t).Base(r); got != c.want {
			t.Errorf("%s: base %q, want %q", c.name, got, c.want)
		}
	}
}

func TestTheClientsAddressIsTheConnectionsUnlessAProxySaysOtherwise(t *testing.T) {
	for _, c := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"direct", "192.0.2.1:1", nil, "192.0.2.1"},
		{"forged", "192.0.2.1:1", []string{"203.0.113.9"}, "192.0.2.1"},
		{"IPv6 with a zone", "[fe80::1%eth0]:1", nil, "fe80::1"},
		{"mapped", "[::ffff:192.0.2.1]:1", nil, "192.0.2.1"},
		{"by a proxy", "10.1.2.3:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"by a mapped proxy", "[::ffff:10.1.2.3]:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"by two proxies", "10.1.2.3:1", []string{"203.0.113.9, 10.9.9.9"}, "203.0.113.9"},
		{"forged through a proxy", "10.1.2.3:1", []string{"127.0.0.1", "203.0.113.9"}, "203.0.113.9"},
		{"nothing but proxies", "10.1.2.3:1", []string{"10.4.4.4"}, "10.4.4.4"},
		{"a proxy that says nothing", "10.1.2.3:1", nil, "10.1.2.3"},
		{"rubbish by a proxy", "10.1.2.3:1", []string{"203.0.113.9, unknown"}, "10.1.2.3"},
		{"no address", "@", []string{"203.0.113.9"}, ""},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded, "Forwarded": {"for=198.51.100.1"}, "X-Real-Ip": {"198.51.100.1"}}}
		if got := set(t).Client(r); got != c.want {
			t.Errorf("%s: client %q, want %q", c.name, got, c.want)
		}
	}
}

func FuzzOrigin(f *testing.F) {
	f.Add("10.1.2.3:1", "swab.example", "1.2.3.4, 5.6.7.8")
	f.Add("[::1]:1", "[", ",")
	s := set(f)
	f.Fuzz(func(t *testing.T, peer, host, forwarded string) {
		r := &http.Request{RemoteAddr: peer, Host: host, Header: http.Header{"X-Forwarded-For": {forwarded}, "X-Forwarded-Host": {forwarded}}}
		found := false
		for _, b := range s.Bases() {
			found = found || b == s.Base(r)
		}
		if !found {
			t.Errorf("base %q is none of the configured", s.Base(r))
		}
		if c := s.Client(r); strings.ContainsAny(c, " ,\n%") {
			t.Errorf("client %q is not an address", c)
		}
	})
}
