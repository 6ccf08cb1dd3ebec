package auth

import (
	"crypto"
	"errors"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"
)

// Bounds of what another issuer's token may say, in bytes but for the depth.
const (
	maxDepth   = 8   // objects and lists within each other
	maxSubject = 255 // an id of a person (OpenID Connect, section 2) or application
	maxShown   = 256 // a name
)

// statement is what another issuer's token says of its bearer. Nobody changes it.
type statement struct {
	issuer    string
	audiences []string
	key       crypto.PublicKey // the one that it was checked by
	names     Claims           // those by which it was read

	application bool     // it acts for itself; otherwise for a person
	subject     string   // what tells one person from another; "" for an application
	client      string   // id of the application; for a person's token it may be missing
	name        string   // to show: a user principal name in lower case, or an application's name
	groups      []string // a person's
	overage     bool     // the person is in more groups than a token can name, and it names none
	roles       []string // an application's
	scopes      []string // a person's, those of Scopes
}

// The claims that are looked at where the issuer's record names no other, in
// this order: those of Microsoft Entra ID (v1.0, v2.0), of Keycloak, of this
// program, and what RFC 9068 says.
var (
	usualPerson      = []string{"oid", "sub"}
	usualPrincipal   = []string{"upn", "preferred_username", "unique_name"}
	usualGroups      = []string{"groups"}
	usualApplication = []string{"appid", "azp", "client_id"}
	usualRoles       = []string{"roles", "realm_access.roles"}
	usualScopes      = []string{"scp", "scope"}
)

func orUsual(name string, usual []string) []string {
	if name != "" {
		return []string{name}
	}
	return usual
}

// readStatement takes from a verified token what it says, by the names that its
// issuer has for it.
func readStatement(o object, names Claims) (*statement, error) {
	if err := o.meantForUs(); err != nil {
		return nil, err
	}
	s := &statement{
		issuer: o.text("iss"), audiences: o.list("aud"), names: names,
		client:  o.text(orUsual(names.Application, usualApplication)...),
		subject: o.text(orUsual(names.Person, usualPerson)...),
	}
	principal := o.text(orUsual(names.Principal, usualPrincipal)...)
	s.application = o.appOnly(s.client, names)
	if s.application {
		s.subject, s.roles = "", o.list(orUsual(names.Roles, usualRoles)...)
		if s.name = o.text("app_displayname"); !shown(s.name, maxShown) {
			s.name = s.client
		}
		if !shown(s.client, maxSubject) {
			return nil, refuse(nil, "The access token does not say which application it is for")
		}
		return s, nil
	}
	s.groups = o.list(orUsual(names.Groups, usualGroups)...)
	s.overage = len(s.groups) == 0 && (o.find("_claim_names.groups") != nil || o["hasgroups"] == true)
	for _, scope := range o.words(orUsual(names.Scopes, usualScopes)...) {
		// Its resource is the token's audience, however it is written.
		scope = scope[strings.LastIndexByte(scope, '/')+1:]
		if slices.Contains(Scopes, scope) && !slices.Contains(s.scopes, scope) {
			s.scopes = append(s.scopes, scope)
		}
	}
	if s.name = strings.ToLower(principal); !shown(s.name, maxShown) {
		s.name = s.subject
	}
	if !shown(s.subject, maxSubject) || s.client != "" && !shown(s.client, maxSubject) {
		return nil, refuse(nil, "The access token does not say whom it is for")
	}
	return s, nil
}

// meantForUs is nil unless the token is no bearer's access token, though its
// issuer signed it.
func (o object) meantForUs() error {
	switch typ := o.text("typ"); {
	case o["cnf"] != nil:
		return refuse(nil, "The access token is bound to a key, which is not supported for tokens of other issuers")
	case o["at_hash"] != nil || o["c_hash"] != nil || typ != "" && !accessToken(typ): // Keycloak has it here: Bearer, ID, Refresh, Offline
		return refuse(nil, "The token is not an access token")
	default:
		return nil
	}
}

// accessToken says whether a typ can be an access token's (RFC 9068; Keycloak).
func accessToken(typ string) bool {
	return slices.ContainsFunc([]string{"JWT", "at+jwt", "application/at+jwt", "Bearer"}, func(t string) bool { return strings.EqualFold(t, typ) })
}

// appOnly says whether an application got the token for itself. In doubt a token
// is a person's, who has only what scopes, roles and device groups give together:
// nothing, if it was an application's after all. It is an application's
//
//   - if its issuer says so outright (idtyp, of Microsoft Entra ID), and it names
//     no scopes;
//   - if it is of the service account of a Keycloak client: its user has the name
//     that Keycloak makes for it, and the claim that Keycloak adds names the same
//     client. The name alone a person might have chosen;
//   - if nothing in it is a person's (no scopes, user name or session), and its
//     subject is the application itself.
func (o object) appOnly(client string, names Claims) bool {
	scopes := o.has(append(orUsual(names.Scopes, nil), usualScopes...)...)
	switch o.text("idtyp") {
	case "app":
		return !scopes
	case "":
	default:
		return false
	}
	if client != "" && o.text("preferred_username") == "service-account-"+strings.ToLower(client) && o.text("client_id", "clientId") == client {
		return true
	}
	if scopes || o.has("sid") || o.has(append(orUsual(names.Principal, nil), usualPrincipal...)...) {
		return false
	}
	subject := o.text("sub")
	return subject != "" && (subject == o.text("oid") || subject == client)
}

// shown says whether a text that is to be shown and recorded is there, of at most
// so many bytes, and has nothing in it that cannot be seen.
func shown(text string, most int) bool {
	return text != "" && len(text) <= most && utf8.ValidString(text) &&
		!strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// object is a decoded JSON object.
type object map[string]any

// readPayload decodes the payload of a token. A member that stands there twice is
// an error: two readers may take two different ones.
func readPayload(payload []byte) (object, error) {
	if depth(payload) > maxDepth {
		return nil, errors.New("objects and lists are nested too deep")
	}
	var o object
	if err := json.Unmarshal(payload, &o); err != nil {
		return nil, err
	}
	return o, nil
}

// depth is how deep objects and lists of a JSON text are nested, at most.
func depth(text []byte) int {
	now, most, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			most = max(most, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return most
}

// find is what stands in an object under a name; dots in it lead into objects,
// where no member has the whole name. nil: nothing.
func (o object) find(name string) any {
	if v, ok := o[name]; ok && v != nil {
		return v
	}
	// The longest member first: a client's id, which Keycloak makes a member of,
	// may itself have dots.
	for at := strings.LastIndexByte(name, '.'); at >= 0; at = strings.LastIndexByte(name[:at], '.') {
		if inner, ok := o[name[:at]].(map[string]any); ok {
			if v := object(inner).find(name[at+1:]); v != nil {
				return v
			}
		}
	}
	return nil
}

// text is the first of the names that holds a text, "" where none does.
func (o object) text(names ...string) string {
	for _, name := range names {
		if text, ok := o.find(name).(string); ok && text != "" {
			return text
		}
	}
	return ""
}

// has says whether one of the names holds anything.
func (o object) has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return o.find(name) != nil })
}

// words are those of the first of the names that is there: a text of words, or a
// list of them.
func (o object) words(names ...string) []string {
	return strings.Fields(strings.Join(o.list(names...), " "))
}

// list is what the first of the names holds that is there: a list of texts, or
// one text.
func (o object) list(names ...string) []string {
	for _, name := range names {
		switch v := o.find(name).(type) {
		case string:
			return []string{v}
		case []any:
			list := make([]string, 0, len(v))
			for _, one := range v {
				if text, ok := one.(string); ok {
					list = append(list, text)
				}
			}
			return list
		}
	}
	return nil
}

// seconds is a time, in whole seconds since 1970.
func (o object) seconds(name string) (int64, error) {
	at, ok := o[name].(float64)
	if !ok || at < 0 || at > 1<<40 {
		return 0, refuse(nil, "The access token's "+name+" is not a time")
	}
	return int64(math.Floor(at)), nil
}
