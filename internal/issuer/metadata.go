package issuer

import (
	"crypto/rsa"
	"maps"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"swab/internal/auth"
)

// Paths below a tenant that stand in documents, and in what clients sign.
const (
	tokenPathV2  = "/oauth2/v2.0/token"
	tokenPathV1  = "/oauth2/token"
	issuerPathV2 = "/v2.0"
)

// metadata is an OpenID Connect discovery document. Each address in it is under
// the base URL that was asked, and the tenant's id is written out.
type metadata struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	DeviceEndpoint        string   `json:"device_authorization_endpoint"`
	KeysEndpoint          string   `json:"jwks_uri"`
	EndSessionEndpoint    string   `json:"end_session_endpoint"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgorithms   []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	GrantTypes            []string `json:"grant_types_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	ResponseModes         []string `json:"response_modes_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`
	SigningAlgorithms     []string `json:"id_token_signing_alg_values_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	Prompts               []string `json:"prompt_values_supported"`
	RequestParameter      bool     `json:"request_parameter_supported"`
	RequestURIParameter   bool     `json:"request_uri_parameter_supported"`
	ClaimsParameter       bool     `json:"claims_parameter_supported"`
	Scopes                []string `json:"scopes_supported"`
	Claims                []string `json:"claims_supported"`
}

// metadataV2 is the document that an authority with /v2.0 has.
func (s *Issuer) metadataV2(c *call) (any, error) {
	root := c.base + "/" + c.tenant.ID
	return s.document(root, root+issuerPathV2, "/oauth2/v2.0", "/discovery/v2.0/keys"), nil
}

// metadataV1 is the document of the authority itself, whose issuer stands in
// access tokens.
func (s *Issuer) metadataV1(c *call) (any, error) {
	root := c.base + "/" + c.tenant.ID
	return s.document(root, auth.Issuer(c.base, c.tenant.ID), "/oauth2", "/discovery/keys"), nil
}

// document names the endpoints of one version. That of devicecode stands beside
// that of token: libraries make its address by replacing the word.
func (s *Issuer) document(root, issuer, oauth, keys string) metadata {
	oauth = root + oauth
	m := metadata{
		Issuer:                issuer,
		AuthorizationEndpoint: oauth + "/authorize",
		TokenEndpoint:         oauth + "/token",
		DeviceEndpoint:        oauth + "/devicecode",
		KeysEndpoint:          root + keys,
		EndSessionEndpoint:    oauth + "/logout",
		RevocationEndpoint:    root + "/oauth2/v2.0/revoke",
		TokenAuthMethods:      []string{"client_secret_post", "client_secret_basic", "private_key_jwt", "none"},
		TokenAuthAlgorithms:   assertionAlgorithms,
		GrantTypes:            []string{"authorization_code", "client_credentials", "refresh_token", deviceGrant},
		ResponseTypes:         []string{"code"},
		ResponseModes:         responseModes,
		SubjectTypes:          []string{"public"},
		SigningAlgorithms:     []string{"RS256"},
		ChallengeMethods:      []string{"S256"},
		Prompts:               []string{"none", "login", "select_account"},
		Scopes:                []string{"openid", "profile", "email", "offline_access"},
		Claims: []string{
			"aud", "iss", "iat", "nbf", "exp", "auth_time", "nonce", "sub", "oid", "tid", "sid", "amr", "name", "upn", "preferred_username", "ver",
		},
	}
	if s.Passwords {
		m.GrantTypes = append(m.GrantTypes, "password")
	}
	return m
}

// jwks is the public keys by which access tokens are checked.
func (s *Issuer) jwks(*call) (any, error) { return keySet(s.Keys.TokenKeys()), nil }

func keySet(public map[string]*rsa.PublicKey) jose.JSONWebKeySet {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, id := range slices.Sorted(maps.Keys(public)) {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: public[id], KeyID: id, Algorithm: "RS256", Use: "sig"})
	}
	return set
}
