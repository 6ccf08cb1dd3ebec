package issuer

import (
	"net/url"
	"slices"
	"strings"
)

// signIn are Microsoft's sign-in hosts, which old clients have written in: they
// arrive here by a proxy or by DNS. Those of one line are one cloud.
var signIn = [][]string{
	{"login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"},
	{"login.microsoftonline.us", "login.usgovcloudapi.net", "login-us.microsoftonline.com"},
	{"login.partner.microsoftonline.cn", "login.chinacloudapi.cn"},
	{"login.microsoftonline.de"},
}

// maxEndpoint bounds the address that instance discovery is asked about.
const maxEndpoint = 2048

// instance is the answer to "is this host an authority?".
type instance struct {
	Endpoint string  `json:"tenant_discovery_endpoint"`
	Metadata []alias `json:"metadata"`
}

// alias is hosts that are one authority. A token that a library got at one of
// them serves it for the others too.
type alias struct {
	Network string   `json:"preferred_network"`
	Cache   string   `json:"preferred_cache"`
	Aliases []string `json:"aliases"`
}

// instanceDiscovery answers libraries that ask, before they sign in, whether the
// host that they were told is an authority. It knows this installation's hosts
// and Microsoft's. What is asked about is compared and never fetched, and the
// address that is answered stands under one of our own base URLs.
func (s *Issuer) instanceDiscovery(c *call) (any, error) {
	asked := unencoded(c.r.URL.RawQuery, "authorization_endpoint")
	if asked == "" {
		return nil, invalidRequest(900144, "The request must contain the following parameter: 'authorization_endpoint'")
	}
	u, err := url.Parse(asked)
	if err != nil || len(asked) > maxEndpoint || u.Scheme != "https" || u.User != nil || u.Host == "" {
		return nil, refused("invalid_instance", 50049, "Unknown or invalid instance: authorization_endpoint is not an address of the form https://HOST/TENANT/oauth2/v2.0/authorize")
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if tenant == "" {
		tenant = "common"
	}
	host := strings.TrimSuffix(strings.ToLower(u.Host), ":443")
	answer := instance{Endpoint: c.base + "/" + url.PathEscape(tenant) + issuerPathV2 + "/.well-known/openid-configuration"}
	meant := s.meant(host)
	known := meant != ""
	if known {
		answer.Endpoint = meant + strings.TrimPrefix(answer.Endpoint, c.base)
	}
	for _, base := range s.Origin.Bases() {
		own := strings.TrimPrefix(base, "https://")
		names := []string{own}
		if base == meant && own != host {
			names = append(names, host)
		}
		answer.Metadata = append(answer.Metadata, alias{own, own, names})
	}
	for _, cloud := range signIn {
		if slices.Contains(cloud, host) && !known {
			known = true
			answer.Metadata = append(answer.Metadata, alias{host, host, cloud})
		}
	}
	if !known {
		return nil, refused("invalid_instance", 50049, "Unknown or invalid instance: '%s' is no host of this installation", clip(host))
	}
	return answer, nil
}

// meant is the base URL at a host, "" where there is none. Older MSAL for Python
// leaves the port of an authority out when it asks; the first base URL of that
// name is meant then.
func (s *Issuer) meant(host string) string {
	portless := ""
	for _, base := range s.Origin.Bases() {
		u, err := url.Parse(base)
		switch {
		case err != nil:
		case u.Host == host:
			return base
		case portless == "" && u.Port() != "" && strings.TrimSuffix(u.Host, ":"+u.Port()) == host:
			portless = base
		}
	}
	return portless
}

// unencoded is a parameter of a query whose value may have come without percent
// encoding, as this one does.
func unencoded(query, name string) string {
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(pair, "="); strings.EqualFold(key, name) {
			if decoded, err := url.QueryUnescape(value); err == nil {
				return decoded
			}
		}
	}
	return ""
}
