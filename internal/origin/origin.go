// Package origin says where a request came to and where it came from: which of
// the installation's public base URLs, and which client address.
//
// Both are things that a client can lie about. The base URL goes into answers
// (links, contexts, token issuers), so it is never made from a Host header: the
// header only picks one of the configured URLs, and where it fits none the first
// one serves. The address is that of the connection. Only where the connection
// comes from a configured proxy network do X-Forwarded-For and X-Forwarded-Host
// count, read from the right, where the last trusted proxy wrote. The header
// Forwarded (RFC 7239) is never read: a proxy that writes the one kind lets the
// client's other kind through.
package origin

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Set is an installation's base URLs and trusted proxies.
type Set struct {
	bases   []base
	proxies []netip.Prefix
}

type base struct {
	url  string // https://host[:port], lower case, no slash at the end
	host string // name and port, the scheme's own port too
}

// New takes the public base URLs, at least one, and the networks of trusted
// proxies (CIDR). All that is wrong is in the error.
func New(urls, proxies []string) (*Set, error) {
	var s Set
	var errs []error
	if len(urls) == 0 {
		errs = append(errs, errors.New("no base URL is given; clients need one"))
	}
	for _, text := range urls {
		b, err := parseBase(text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.bases = append(s.bases, b)
	}
	for _, text := range proxies {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("proxy network %q is not of the form 10.0.0.0/8: %w", text, err))
			continue
		}
		s.proxies = append(s.proxies, p.Masked())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &s, nil
}

func parseBase(text string) (base, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return base{}, fmt.Errorf("base URL %q: %w", text, err)
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return base{}, fmt.Errorf("base URL %q is not of the form https://host:port", text)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return base{}, fmt.Errorf("base URL %q has more than scheme, host and port", text)
	}
	name, port := strings.ToLower(u.Hostname()), u.Port()
	if ip, err := netip.ParseAddr(name); err == nil && ip.IsUnspecified() {
		return base{}, fmt.Errorf("base URL %q names no host that a client could reach", text)
	}
	b := base{host: net.JoinHostPort(name, orDefault(port, u.Scheme))}
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	b.url = u.Scheme + "://" + name
	if port != "" && port != orDefault("", u.Scheme) {
		b.url += ":" + port
	}
	return b, nil
}

// orDefault is the port, or that of the scheme where there is none.
func orDefault(port, scheme string) string {
	switch {
	case port != "":
		return port
	case scheme == "http":
		return "80"
	default:
		return "443"
	}
}

// Bases are the base URLs, without a slash at the end, the first one first.
func (s *Set) Bases() []string {
	urls := make([]string, 0, len(s.bases))
	for _, b := range s.bases {
		urls = append(urls, b.url)
	}
	return urls
}

// Base is the base URL that a request came to, without a slash at the end; the
// first one where its host is none of them.
func (s *Set) Base(r *http.Request) string {
	host := r.Host
	if s.trusted(peer(r)) {
		if forwarded := last(r.Header.Values("X-Forwarded-Host")); forwarded != "" {
			host = forwarded
		}
	}
	for _, b := range s.bases {
		scheme, _, _ := strings.Cut(b.url, ":")
		if sameHost(host, scheme, b.host) {
			return b.url
		}
	}
	return s.bases[0].url
}

// sameHost says whether a Host header, under a scheme, means host with its port.
func sameHost(header, scheme, host string) bool {
	name, port, err := net.SplitHostPort(header)
	if err != nil {
		name, port = strings.TrimSuffix(strings.TrimPrefix(header, "["), "]"), ""
	}
	return net.JoinHostPort(strings.ToLower(name), orDefault(port, scheme)) == host
}

// Client is the address of whoever sent a request, without a port; "" where
// the connection has none.
func (s *Set) Client(r *http.Request) string {
	addr := peer(r)
	if !addr.IsValid() {
		return ""
	}
	chain := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(chain) {
		if !s.trusted(addr) {
			break
		}
		next, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil { // nothing there, or not an address: the proxy itself is all that is known
			break
		}
		addr = next.Unmap().WithZone("")
	}
	return addr.String()
}

// Proxy says whether addr is of a trusted proxy.
func (s *Set) Proxy(addr netip.Addr) bool { return s.trusted(addr) }

func (s *Set) trusted(addr netip.Addr) bool {
	return addr.IsValid() && slices.ContainsFunc(s.proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// peer is the other end of the connection.
func peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// last is the last element of a header's comma-separated values.
func last(values []string) string {
	all := strings.Join(values, ",")
	return strings.TrimSpace(all[strings.LastIndexByte(all, ',')+1:])
}
