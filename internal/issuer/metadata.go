package issuer

import (
	"crypto/rsa"
	"maps"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"swab/internal/auth"
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
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	GrantTypes            []string `json:"grant_types_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	ResponseModes         []string `json:"response_modes_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`
	SigningAlgorithms     []string `json:"id_token_signing_alg_values_supported"`
	Scopes                []string `json:"scopes_supported"`
	Claims                []string `json:"claims_supported"`
}

// metadataV2 is the document that an authority with /v2.0 has.
func (s *Issuer) metadataV2(c *call) (any, error) {
	return document(c, c.base+"/"+c.tenant.ID+"/v2.0"), nil
}

// metadataV1 is the document of the authority itself, whose issuer stands in
// access tokens.
func (s *Issuer) metadataV1(c *call) (any, error) {
	return document(c, auth.Issuer(c.base, c.tenant.ID)), nil
}

func document(c *call, issuer string) metadata {
	root := c.base + "/" + c.tenant.ID
	return metadata{
		Issuer:                issuer,
		AuthorizationEndpoint: root + "/oauth2/v2.0/authorize",
		TokenEndpoint:         root + "/oauth2/v2.0/token",
		DeviceEndpoint:        root + "/oauth2/v2.0/devicecode",
		KeysEndpoint:          root + "/discovery/v2.0/keys",
		EndSessionEndpoint:    root + "/oauth2/v2.0/logout",
		TokenAuthMethods:      []string{"client_secret_post", "client_secret_basic"},
		GrantTypes:            []string{"client_credentials"},
		ResponseTypes:         []string{"code"},
		ResponseModes:         []string{"query"},
		SubjectTypes:          []string{"pairwise"},
		SigningAlgorithms:     []string{"RS256"},
		Scopes:                []string{"openid", "profile", "email", "offline_access"},
		Claims:                []string{"aud", "iss", "iat", "nbf", "exp", "appid", "oid", "sub", "tid", "roles", "ver"},
	}
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
