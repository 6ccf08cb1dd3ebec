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
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgorithms   []string `json:"token_endpoint_auth_signing_alg_values_supported"`
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
	root := c.base + "/" + c.tenant.ID
	return document(root+issuerPathV2, root+"/oauth2/v2.0", root+"/discovery/v2.0/keys"), nil
}

// metadataV1 is the document of the authority itself, whose issuer stands in
// access tokens.
func (s *Issuer) metadataV1(c *call) (any, error) {
	root := c.base + "/" + c.tenant.ID
	return document(auth.Issuer(c.base, c.tenant.ID), root+"/oauth2", root+"/discovery/keys"), nil
}

// document names the endpoints of one version. That of devicecode stands beside
// that of token: libraries make its address by replacing the word.
func document(issuer, oauth, keys string) metadata {
	return metadata{
		Issuer:                issuer,
		AuthorizationEndpoint: oauth + "/authorize",
		TokenEndpoint:         oauth + "/token",
		DeviceEndpoint:        oauth + "/devicecode",
		KeysEndpoint:          keys,
		EndSessionEndpoint:    oauth + "/logout",
		TokenAuthMethods:      []string{"client_secret_post", "client_secret_basic", "private_key_jwt"},
		TokenAuthAlgorithms:   assertionAlgorithms,
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
