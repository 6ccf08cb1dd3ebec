package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"swab/internal/fault"
)

// TrustedIssuer is an OpenID Connect issuer beside this one whose tokens hold for
// a tenant: Microsoft Entra ID, Keycloak, another installation.
type TrustedIssuer struct {
	Tenant    string
	ID        string   // a GUID
	Name      string   // to show
	URL       string   // the iss of its tokens, https; its keys are found by discovery below it
	Keys      string   // address of its keys where discovery shall not be asked; "" otherwise
	Audiences []string // the aud that its tokens must have one of
	Claims    Claims
	Groups    map[string]string // what its tokens call a group → id of a user group here
	Roles     map[string]string // what its tokens call an application's role → permission here
	Networks  []string          // CIDRs that may be connected to beside public addresses: where it is an internal one
	Created   time.Time
	Revoked   bool
}

// Claims are the names of the claims that say who and what; dots lead into
// objects (realm_access.roles). An empty one has the usual name.
type Claims struct {
	Person      string `json:"person,omitempty"`      // what tells one person from another: oid, sub
	Principal   string `json:"principal,omitempty"`   // user principal name: upn, preferred_username
	Groups      string `json:"groups,omitempty"`      // groups
	Application string `json:"application,omitempty"` // client id: appid, azp
	Roles       string `json:"roles,omitempty"`       // an application's: roles
	Scopes      string `json:"scopes,omitempty"`      // a person's: scp, scope
}

// ForeignKeys gives the keys of other issuers; *federation.Keys satisfies it. It
// is asked at each request with such a token, so it answers from memory where it
// can.
type ForeignKeys interface {
	// Key returns the key that an issuer signs with under an id, an *rsa.PublicKey
	// or *ecdsa.PublicKey, and the algorithm that it is for: "" where the issuer
	// names none. If the issuer has no such key it is fault.NotFound, if that
	// can't be told now fault.Unavailable.
	Key(ctx context.Context, issuer TrustedIssuer, kid string) (key crypto.PublicKey, alg string, err error)
}

// ForeignSkew is how far the clock of another issuer may be ahead: the most that
// the contract allows. One that is behind costs its tokens some of their life,
// and nothing else, so their end is judged by [Skew] as ours is.
const ForeignSkew = 5 * time.Minute

// foreignAlgorithms are those by which another issuer may sign. None needs a
// secret that both sides know: no HMAC, and not none.
var foreignAlgorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512,
}

// fits says whether a key of an issuer is for an algorithm, and of a size that is
// neither weak nor made to keep us busy.
func fits(alg jose.SignatureAlgorithm, key crypto.PublicKey) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return (strings.HasPrefix(string(alg), "RS") || strings.HasPrefix(string(alg), "PS")) && key.N.BitLen() >= 2048 && key.N.BitLen() <= 8192
	case *ecdsa.PublicKey:
		return alg == jose.ES256 && key.Curve == elliptic.P256() || alg == jose.ES384 && key.Curve == elliptic.P384() ||
			alg == jose.ES512 && key.Curve == elliptic.P521()
	default:
		return false
	}
}

// ours says whether tokens of this installation have such an issuer.
func (t *Tokens) ours(issuer string) bool {
	return slices.ContainsFunc(t.bases, func(base string) bool {
		tenant, ok := strings.CutPrefix(issuer, base+"/")
		return ok && strings.IndexByte(tenant, '/') == len(tenant)-1
	})
}

// trusted is the record of the issuer of a token: the oldest one that has the
// token's iss and one of its aud. Which tenant the token is for follows from that
// record, never from what the token says of tenants. None is an Unauthorized.
func (t *Tokens) trusted(ctx context.Context, issuer string, audiences []string) (TrustedIssuer, error) {
	all, err := t.Directory.TrustedIssuers(ctx)
	if err != nil {
		return TrustedIssuer{}, err
	}
	for _, one := range all {
		if one.URL == issuer && overlap(one.Audiences, audiences) {
			return one, nil
		}
	}
	return TrustedIssuer{}, refuse(nil, "The access token is from another issuer, or meant for another audience, than those that are trusted here")
}

// openForeign reads a token that names another issuer than ours, and checks its
// signature. ok is false for every other token.
func (t *Tokens) openForeign(ctx context.Context, token string) (v *verified, ok bool, err error) {
	if t.Foreign == nil {
		return nil, false, nil
	}
	if all, err := t.Directory.TrustedIssuers(ctx); err == nil && len(all) == 0 {
		return nil, false, nil
	}
	signed, payload, err := parseForeign(token)
	if err != nil || t.ours(payload.text("iss")) {
		return nil, false, nil //nolint:nilerr // read as one of ours, it is told what is wrong with it
	}
	// What the token says decides which record is looked at, and before the
	// signature holds nothing else: no address, no tenant, no key.
	issuer, err := t.trusted(ctx, payload.text("iss"), payload.list("aud"))
	if err != nil {
		return nil, true, err
	}
	v, err = t.readForeign(ctx, signed, payload, issuer)
	return v, true, err
}

// parseForeign takes a token apart. Nothing of it is proved yet.
func parseForeign(token string) (*jose.JSONWebSignature, object, error) {
	signed, err := jose.ParseSignedCompact(token, foreignAlgorithms)
	if err != nil {
		return nil, nil, err
	}
	payload, err := readPayload(signed.UnsafePayloadWithoutVerification())
	return signed, payload, err
}

// readForeign checks a token by the key that its kid names among those of its
// issuer, and takes from it what it says of its bearer. jku, x5u and jwk in a
// header are not looked at.
func (t *Tokens) readForeign(ctx context.Context, signed *jose.JSONWebSignature, payload object, issuer TrustedIssuer) (*verified, error) {
	header := signed.Signatures[0].Header
	if typ, _ := header.ExtraHeaders[jose.HeaderType].(string); typ != "" && !accessToken(typ) {
		return nil, refuse(nil, "The token is not an access token")
	}
	key, err := t.foreignKey(ctx, issuer, header.KeyID, header.Algorithm)
	if err != nil {
		return nil, err
	}
	if _, err := signed.Verify(key); err != nil {
		return nil, refuse(err, "The access token's signature does not hold")
	}
	v := &verified{kid: header.KeyID, alg: header.Algorithm}
	if v.Expires, err = payload.seconds("exp"); err != nil {
		return nil, err
	}
	for _, name := range []string{"nbf", "iat"} { // neither has to be there
		if payload[name] == nil {
			continue
		}
		at, err := payload.seconds(name)
		if err != nil {
			return nil, err
		}
		v.NotBefore = max(v.NotBefore, at)
	}
	if v.foreign, err = readStatement(payload, issuer.Claims); err != nil {
		return nil, err
	}
	v.foreign.key = key
	if v.foreign.overage {
		t.Logger.WarnContext(ctx, "a token leaves out its user's groups because there are too many: the user is let in without any",
			"issuer", issuer.ID, "user", v.foreign.subject)
	}
	return v, nil
}

// foreignKey is the key of an issuer by which a token with such a header is
// checked.
func (t *Tokens) foreignKey(ctx context.Context, issuer TrustedIssuer, kid, alg string) (crypto.PublicKey, error) {
	key, only, err := t.Foreign.Key(ctx, issuer, kid)
	if errors.Is(err, fault.NotFound) {
		return nil, refuse(err, "The access token is signed by an unknown key")
	}
	if err != nil {
		return nil, err
	}
	if only != "" && only != alg || !fits(jose.SignatureAlgorithm(alg), key) {
		return nil, refuse(nil, "The access token is signed by "+alg+", which its key is not for")
	}
	return key, nil
}

// foreigner is the caller that another issuer's token names. Whom the issuer may
// speak for, by which keys, and what its words mean here is looked at each time.
func (t *Tokens) foreigner(ctx context.Context, token string, v *verified) (Caller, error) {
	issuer, err := t.trusted(ctx, v.foreign.issuer, v.foreign.audiences)
	if err != nil {
		return Caller{}, err
	}
	key, err := t.foreignKey(ctx, issuer, v.kid, v.alg)
	if err != nil {
		return Caller{}, err
	}
	if !v.foreign.key.(interface{ Equal(x crypto.PublicKey) bool }).Equal(key) || v.foreign.names != issuer.Claims {
		// It was read by what was known of the issuer then.
		signed, payload, err := parseForeign(token)
		if err != nil {
			return Caller{}, err
		}
		if v, err = t.readForeign(ctx, signed, payload, issuer); err != nil {
			return Caller{}, err
		}
		t.known.replace(digest(token), v)
	}
	return t.represent(ctx, issuer, v.foreign)
}

// represent makes a caller of what a token says, by the issuer's record.
//
// Ids begin with that of the record, so that they can be nobody else's, whatever
// an issuer calls its people.
func (t *Tokens) represent(ctx context.Context, issuer TrustedIssuer, s *statement) (Caller, error) {
	client := ""
	if s.client != "" {
		client = issuer.ID + "/" + s.client
	}
	if s.application {
		return Caller{
			Kind: Application, Tenant: issuer.Tenant, ID: client, Name: s.name, Roles: issuer.permissions(s.roles), Source: publicAPI,
		}, nil
	}
	policy, err := t.Directory.Policy(ctx, issuer.Tenant)
	if err := known(err, "tenant"); err != nil {
		return Caller{}, err
	}
	return Caller{
		Kind: User, Tenant: issuer.Tenant, ID: issuer.ID + "/" + s.subject, Name: s.name, App: client, Scopes: s.scopes,
		Person: policy.Rights(issuer.userGroups(s.groups)), Policy: policy, Source: publicAPI,
	}, nil
}

// permissions are those that an application has by its roles there. Without a
// mapping, roles of the same names give them; the one to administer takes a
// mapping, so that nobody gets it by what an issuer happens to say.
func (i TrustedIssuer) permissions(roles []string) []string {
	held := []string{}
	for _, p := range Permissions {
		if slices.ContainsFunc(roles, func(role string) bool {
			if len(i.Roles) == 0 {
				return role == p && p != Administer
			}
			return i.Roles[role] == p
		}) {
			held = append(held, p)
		}
	}
	return held
}

// userGroups are the ids of the user groups here that a person is in by their
// groups there. Keycloak writes a group as a path from the root; the slash at its
// beginning may be left out of a mapping.
func (i TrustedIssuer) userGroups(groups []string) []string {
	ids := []string{}
	for _, g := range groups {
		id, ok := i.Groups[g]
		if !ok {
			id, ok = i.Groups[strings.TrimPrefix(g, "/")]
		}
		if ok {
			ids = append(ids, id)
		}
	}
	return ids
}
