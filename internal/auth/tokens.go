package auth

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"swab/internal/device"
	"swab/internal/fault"
)

// Lives of tokens, and how far the clocks of an installation's nodes may be apart.
const (
	TokenLife       = time.Hour
	DeviceTokenLife = 10 * time.Minute
	Skew            = time.Minute // the contract allows 5 minutes at most
)

// MaxToken bounds an access token: 16 KiB, as much as a proxy lets through in a header.
const MaxToken = 16 << 10

// deviceAudience is the aud of a device's token. It is no resource of the API,
// so that neither kind of token is worth anything for the other's doors.
const deviceAudience = "swab:device"

// signing gives the keys of access tokens; *keys.Ring satisfies it.
type signing interface {
	TokenKey() (id string, signer *rsa.PrivateKey)

	// PublicTokenKey is the key of that id, nil where there is none.
	PublicTokenKey(id string) *rsa.PublicKey

	// Refresh looks for keys that other nodes made. It bounds itself how often.
	Refresh(ctx context.Context) error
}

// Tokens issues and validates access tokens: JWTs signed with RS256, of the
// v1.0 shape that Defender's clients decode. A token says who its bearer is;
// what an application may do is looked up at each request, so that a change
// holds at once. Safe for concurrent use.
type Tokens struct {
	Resources Resources
	Directory *Directory
	Foreign   ForeignKeys // of the issuers that the directory names; nil: tokens of no other issuer hold
	Logger    *slog.Logger

	bases  []string
	keys   signing
	now    func() time.Time
	known  *cache
	shared shared
}

// NewTokens returns the tokens of an installation. bases are its public base
// URLs, without a slash at the end, at least one; a token issued under one of
// them holds under all.
func NewTokens(bases []string, keys signing, people people, now func() time.Time) *Tokens {
	return &Tokens{
		Resources: NewResources(bases), Directory: NewDirectory(people, now), Logger: slog.New(slog.DiscardHandler),
		bases: bases, keys: keys, now: now, known: newCache(4096),
	}
}

// Issuer is the iss of tokens that a tenant's applications get under a base URL.
func Issuer(base, tenant string) string { return base + "/" + tenant + "/" }

// claims is the payload of a token. Times are seconds since 1970.
type claims struct {
	Audience  string        `json:"aud"`
	Issuer    string        `json:"iss"`
	IssuedAt  int64         `json:"iat"`
	NotBefore int64         `json:"nbf"`
	Expires   int64         `json:"exp"`
	AppName   string        `json:"app_displayname,omitempty"`
	AppID     string        `json:"appid,omitempty"`
	AppIDACR  Proof         `json:"appidacr,omitempty"`
	Methods   []string      `json:"amr,omitempty"`
	Party     string        `json:"azp,omitempty"` // as appid, for readers of v2.0 tokens
	Provider  string        `json:"idp,omitempty"`
	Object    string        `json:"oid,omitempty"`
	Principal string        `json:"upn,omitempty"`
	Unique    string        `json:"unique_name,omitempty"` // as upn, and preferred_username too: clients look for any of them
	Preferred string        `json:"preferred_username,omitempty"`
	Name      string        `json:"name,omitempty"`
	Groups    []string      `json:"groups,omitempty"`
	HasGroups bool          `json:"hasgroups,omitempty"` // there are too many to name
	Roles     []string      `json:"roles,omitempty"`
	Scopes    string        `json:"scp,omitempty"`
	Session   string        `json:"sid,omitempty"`
	AuthTime  int64         `json:"auth_time,omitempty"`
	Nonce     string        `json:"nonce,omitempty"` // of an id token
	Subject   string        `json:"sub"`
	Tenant    string        `json:"tid"`
	ID        string        `json:"jti"`
	Version   string        `json:"ver"`
	Confirm   *confirmation `json:"cnf,omitempty"`
}

// confirmation binds a token to a key (RFC 9449, section 6).
type confirmation struct {
	JKT string `json:"jkt"` // RFC 7638 thumbprint
}

// Proof is how an application proved itself, as tokens say it in appidacr.
type Proof string

// The proofs.
const (
	ByNothing     Proof = "0" // a public application, which acts for a person
	BySecret      Proof = "1"
	ByCertificate Proof = "2"
)

// Issued is a new access token.
type Issued struct {
	Token string
	From  time.Time // its first second
	Until time.Time // its end
}

// Grant returns an access token for an application, good for [TokenLife]. base
// is the base URL that the request came to, resource what the client asked for,
// which goes into aud as it was spelt. Who asks for the same again within one
// second gets the same token.
func (t *Tokens) Grant(base, resource string, app App, by Proof) (Issued, error) {
	issuer, now := Issuer(base, app.Tenant), t.now().UTC().Truncate(time.Second)
	kid, key := t.keys.TokenKey()
	token, err := t.shared.get(shareKey{second: now.Unix(), kid: kid, claims: sharedClaims{
		audience: resource, issuer: issuer, tenant: app.Tenant, app: app.ID, name: app.Name, proof: string(by), roles: strings.Join(app.Roles, " "),
	}}, func() (string, error) {
		return sign(kid, key, now, claims{
			Audience: resource, Issuer: issuer, Provider: issuer,
			AppName: app.Name, AppID: app.ID, AppIDACR: by, Party: app.ID, Object: app.ID, Subject: app.ID,
			Roles: app.Roles, Tenant: app.Tenant,
		}, TokenLife)
	})
	return Issued{Token: token, From: now, Until: now.Add(TokenLife)}, err
}

// Issue returns the token alone, for an application that proved itself by a secret.
func (t *Tokens) Issue(base, resource string, app App) (string, error) {
	issued, err := t.Grant(base, resource, app, BySecret)
	return issued.Token, err
}

// IssueDevice returns an access token for a device, bound to the key with the
// thumbprint jkt and good for [DeviceTokenLife].
func (t *Tokens) IssueDevice(tenant string, id device.ID, jkt string) (string, error) {
	kid, key := t.keys.TokenKey()
	return sign(kid, key, t.now(), claims{
		Audience: deviceAudience, Issuer: Issuer(t.bases[0], tenant),
		Subject: string(id), Tenant: tenant, Confirm: &confirmation{JKT: jkt},
	}, DeviceTokenLife)
}

// sign completes the claims with times, an id and the version.
func sign(kid string, key *rsa.PrivateKey, now time.Time, c claims, life time.Duration) (string, error) {
	c.IssuedAt, c.NotBefore, c.Expires = now.Unix(), now.Unix(), now.Add(life).Unix()
	id := make([]byte, 16)
	rand.Read(id) // never fails (crypto/rand)
	c.ID, c.Version = base64.RawURLEncoding.EncodeToString(id), "1.0"

	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: kid}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("sign access token: %w", err)
	}
	token, err := jwt.Signed(signer).Claims(c).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign access token: %w", err)
	}
	return token, nil
}

// Delegation is what a person lets an application do in their name.
type Delegation struct {
	App     App
	By      Proof // of the application
	Person  Person
	Scopes  []string  // among Scopes
	Session string    // id of the sign-in: the token is worth nothing once that has ended
	Methods []string  // how the person proved themselves (RFC 8176): pwd, otp, mfa
	At      time.Time // when they did
}

// Delegate returns an access token by which an application acts in a person's
// name, good for [TokenLife]; base and resource are as for Grant.
func (t *Tokens) Delegate(base, resource string, d Delegation) (Issued, error) {
	kid, key := t.keys.TokenKey()
	now, c := t.now().UTC().Truncate(time.Second), t.delegated(base, d)
	c.Audience, c.Scopes = resource, strings.Join(d.Scopes, " ")
	c.AppName, c.AppID, c.AppIDACR, c.Party, c.Groups = d.App.Name, d.App.ID, d.By, d.App.ID, d.Person.Groups
	if len(c.Groups) > maxGroupsClaim {
		c.Groups, c.HasGroups = nil, true
	}
	token, err := sign(kid, key, now, c, TokenLife)
	return Issued{Token: token, From: now, Until: now.Add(TokenLife)}, err
}

// maxGroupsClaim is the most groups that a token names; of more it names none, as
// Microsoft's issuer does. What counts is looked up at each request.
const maxGroupsClaim = 200

// Identify returns an id token for an application that a person signed in to.
// issuer is that of the metadata by which the application came. nonce is that of
// its request, or "".
func (t *Tokens) Identify(base, issuer, nonce string, d Delegation) (string, error) {
	kid, key := t.keys.TokenKey()
	c := t.delegated(base, d)
	c.Issuer, c.Audience, c.Nonce, c.AuthTime = issuer, d.App.ID, nonce, d.At.Unix()
	return sign(kid, key, t.now(), c, TokenLife)
}

// delegated are the claims that say who a person is.
func (t *Tokens) delegated(base string, d Delegation) claims {
	issuer := Issuer(base, d.Person.Tenant)
	return claims{
		Issuer: issuer, Provider: issuer, Tenant: d.Person.Tenant, Session: d.Session, Methods: d.Methods,
		Object: d.Person.ID, Subject: d.Person.ID, Name: d.Person.Name,
		Principal: d.Person.Principal, Unique: d.Person.Principal, Preferred: d.Person.Principal,
	}
}

// Validate returns the caller that a token names, with the rights that the
// application or person has now. Whatever is wrong with the token, its
// application, person or tenant is fault.Unauthorized; another error means that
// it could not be told.
func (t *Tokens) Validate(ctx context.Context, token string) (Caller, error) {
	c, err := t.verify(ctx, token)
	if err != nil {
		return Caller{}, err
	}
	if c.foreign != nil {
		return t.foreigner(ctx, token, c)
	}
	if !c.ours {
		return Caller{}, refuse(nil, "The access token is meant for another audience")
	}
	app, err := t.Directory.App(ctx, c.Tenant, c.AppID)
	if err := known(err, "application"); err != nil {
		return Caller{}, err
	}
	if c.Session != "" || c.Scopes != "" {
		return t.person(ctx, c, app)
	}
	caller := Caller{Kind: Application, Tenant: app.Tenant, ID: app.ID, Name: app.Name, Roles: app.Roles, Source: publicAPI}
	if caller.Name == "" {
		caller.Name = app.ID
	}
	return caller, nil
}

const publicAPI = "PublicApi"

// person is the caller of a delegated token. An application that has lost a
// scope does no more in anybody's name by it.
func (t *Tokens) person(ctx context.Context, c *verified, app App) (Caller, error) {
	p, err := t.Directory.Person(ctx, c.Tenant, c.Object)
	if err := known(err, "user"); err != nil {
		return Caller{}, err
	}
	of, err := t.Directory.SessionOf(ctx, c.Tenant, c.Session)
	if err := known(err, "sign-in"); err != nil {
		return Caller{}, err
	}
	if of != p.ID {
		return Caller{}, refuse(nil, "The access token is of another user's sign-in")
	}
	policy, err := t.Directory.Policy(ctx, c.Tenant)
	if err := known(err, "tenant"); err != nil {
		return Caller{}, err
	}
	scopes := slices.DeleteFunc(strings.Fields(c.Scopes), func(s string) bool { return !slices.Contains(app.Scopes, s) })
	return Caller{
		Kind: User, Tenant: p.Tenant, ID: p.ID, Name: p.Principal, App: app.ID, Scopes: scopes, Session: c.Session,
		Person: policy.Rights(p.Groups), Policy: policy, Source: publicAPI,
	}, nil
}

// known makes of what was not found a token that is worth nothing.
func known(err error, what string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fault.NotFound):
		return refuse(err, "The "+what+" of the access token does not exist any more")
	default:
		return fmt.Errorf("%s of an access token: %w", what, err)
	}
}

// DeviceToken is what a device's access token says.
type DeviceToken struct {
	Tenant  string
	Device  device.ID
	JKT     string // thumbprint of the key by which each use must be proved
	Expires time.Time
}

// ValidateDevice returns what a device's token says. A token of a tenant that is
// gone or revoked does not hold. That its bearer holds the key, and that the
// device is not revoked, is for its caller to see.
func (t *Tokens) ValidateDevice(ctx context.Context, token string) (DeviceToken, error) {
	c, err := t.verify(ctx, token)
	if err != nil {
		return DeviceToken{}, err
	}
	id, err := device.ParseID(c.Subject)
	if c.Audience != deviceAudience || err != nil || c.Confirm == nil || c.Confirm.JKT == "" {
		return DeviceToken{}, refuse(err, "The access token is not a device's")
	}
	_, err = t.Directory.Tenant(ctx, c.Tenant)
	if err := known(err, "tenant"); err != nil {
		return DeviceToken{}, err
	}
	return DeviceToken{Tenant: c.Tenant, Device: id, JKT: c.Confirm.JKT, Expires: time.Unix(c.Expires, 0).UTC()}, nil
}

// verify checks a token's signature, issuer and times. What was verified once
// is remembered by its hash, so that a client's next request costs no RSA; times
// and the key's life are looked at each time.
func (t *Tokens) verify(ctx context.Context, token string) (*verified, error) {
	if len(token) > MaxToken {
		return nil, refuse(nil, "The access token is too long")
	}
	sum := digest(token)
	v, ok := t.known.get(sum)
	if ok && v.foreign == nil && t.keys.PublicTokenKey(v.kid) == nil {
		return nil, refuse(nil, "The access token is signed by an unknown key")
	}
	if !ok {
		var err error
		if v, err = t.open(ctx, token); err != nil {
			return nil, err
		}
	}
	switch now := t.now(); {
	case v.Expires <= now.Add(-Skew).Unix():
		return nil, refuse(nil, "The access token has expired")
	case v.NotBefore > now.Add(v.ahead()).Unix():
		return nil, refuse(nil, "The access token is not valid yet")
	}
	if !ok {
		t.known.add(sum, v)
	}
	return v, nil
}

// digest is the SHA-256 of a token. An ordinary one is copied to the stack: this
// is done at each request, and is nearly all that a known token costs.
func digest(token string) [sha256.Size]byte {
	var short [2048]byte
	if len(token) > len(short) {
		return sha256.Sum256([]byte(token))
	}
	return sha256.Sum256(short[:copy(short[:], token)])
}

// verified is a token whose signature and issuer hold. Nobody changes it.
type verified struct {
	claims         // of another issuer's the times alone
	kid     string //
	alg     string // of another issuer's
	ours    bool   // it is of this issuer, and its audience is this API
	foreign *statement
}

// ahead is how far the clock of the token's issuer may be ahead of ours.
func (v *verified) ahead() time.Duration {
	if v.foreign != nil {
		return ForeignSkew
	}
	return Skew
}

// open checks a token's signature by the key that its kid names. Of a token of
// ours, the list of
// algorithms has one member, so neither none nor an HMAC under the public key is
// ever tried; jku, x5u and jwk in a header are not looked at. An unknown kid may
// be of a key that another node made: the store is asked, now and then.
func (t *Tokens) open(ctx context.Context, token string) (*verified, error) {
	if v, abroad, err := t.openForeign(ctx, token); abroad {
		return v, err
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil, refuse(err, "The access token is not a JWT signed with RS256")
	}
	v := &verified{kid: parsed.Headers[0].KeyID}
	key := t.keys.PublicTokenKey(v.kid)
	if key == nil {
		if err := t.keys.Refresh(ctx); err != nil {
			return nil, err
		}
		key = t.keys.PublicTokenKey(v.kid)
	}
	if key == nil {
		return nil, refuse(nil, "The access token is signed by an unknown key")
	}
	if err := parsed.Claims(key, &v.claims); err != nil {
		return nil, refuse(err, "The access token's signature does not hold")
	}
	if v.Tenant == "" || !slices.ContainsFunc(t.bases, func(b string) bool { return v.Issuer == Issuer(b, v.Tenant) }) {
		return nil, refuse(nil, "The access token is from another issuer")
	}
	v.ours = t.Resources.Accept(v.Audience)
	return v, nil
}

func refuse(cause error, text string) error { return fault.Unauthorized.Errorf(cause, "%s", text) }
