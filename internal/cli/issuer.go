package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"swab/client"
	"swab/internal/command"
)

type issuerCreate struct {
	Name     string   `arg:"" help:"What it is called here."`
	URL      string   `name:"url" help:"The iss of its tokens, below which its keys are found." required:"" placeholder:"URL"`
	Audience []string `help:"An aud that its tokens may be meant for, once for each: what this server is called there." required:"" sep:"none" placeholder:"TEXT"`
	Keys     string   `help:"Address of its keys. Default: what its discovery document names." placeholder:"URL"`
	Claim    []string `help:"The claim that says who or what, as person=oid; once for each of person, principal, groups, application, roles, scopes. Dots lead into objects. Default: the usual ones." sep:"none" placeholder:"WHAT=CLAIM"`
	MapGroup []string `name:"map-group" help:"What its tokens call a group, and the user group here; once for each. The last = parts them." sep:"none" placeholder:"THEIRS=GROUP"`
	MapRole  []string `name:"map-role" help:"What its tokens call an application's role, and the permission here; once for each. Default: roles of the same names, but for Swab.Administer." sep:"none" placeholder:"THEIRS=ROLE"`
	Network  []string `help:"A network that may be connected to for its keys beside public addresses, once for each: 10.1.0.0/16." sep:"none" placeholder:"CIDR"`
	connection
	output
}

func (*issuerCreate) Help() string {
	return "Makes the tokens of another OpenID Connect issuer hold here, such as Microsoft Entra ID's or Keycloak's: its people get what the user groups that theirs are mapped to may do, " +
		"its applications what their roles are mapped to." + administersAll
}

// Check judges the settings together.
func (i *issuerCreate) Check() error {
	_, err := i.request()
	return err
}

// request is what is asked for, with the names of user groups in the place of
// their ids.
func (i *issuerCreate) request() (client.IssuerRequest, error) {
	r := client.IssuerRequest{Name: i.Name, URL: i.URL, Keys: i.Keys, Audiences: i.Audience, Networks: i.Network}
	var wrong []error
	claims := map[string]*string{
		"person": &r.Claims.Person, "principal": &r.Claims.Principal, "groups": &r.Claims.Groups,
		"application": &r.Claims.Application, "roles": &r.Claims.Roles, "scopes": &r.Claims.Scopes,
	}
	for _, s := range i.Claim {
		what, claim, ok := strings.Cut(s, "=")
		if !ok || claims[what] == nil || claim == "" {
			wrong = append(wrong, fmt.Errorf("--claim: %.60q is not of the form person=oid, with one of person, principal, groups, application, roles, scopes", s))
			continue
		}
		*claims[what] = claim
	}
	var err error
	r.Groups, err = mapped("--map-group", i.MapGroup)
	wrong = append(wrong, err)
	r.Roles, err = mapped("--map-role", i.MapRole)
	return r, errors.Join(append(wrong, err)...)
}

// mapped reads pairs of their word and ours. Theirs may have a = in it.
func mapped(flag string, pairs []string) (map[string]string, error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	words := map[string]string{}
	var wrong []error
	for _, s := range pairs {
		at := strings.LastIndexByte(s, '=')
		if at < 1 || at == len(s)-1 {
			wrong = append(wrong, fmt.Errorf("%s: %.60q is not of the form THEIRS=OURS", flag, s))
			continue
		}
		if _, twice := words[s[:at]]; twice {
			wrong = append(wrong, fmt.Errorf("%s: %.60q is mapped twice", flag, s[:at]))
		}
		words[s[:at]] = s[at+1:]
	}
	return words, errors.Join(wrong...)
}

func (i *issuerCreate) Run(ctx context.Context, env command.Env) error {
	request, err := i.request()
	if err != nil {
		return err
	}
	c, _, err := i.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	groups, err := c.UserGroups(ctx)
	if err != nil {
		return err
	}
	for theirs, ours := range request.Groups {
		g, err := pickUserGroup(groups, ours)
		if err != nil {
			return err
		}
		request.Groups[theirs] = g.ID
	}
	made, err := c.CreateIssuer(ctx, request)
	if err != nil {
		return err
	}
	return i.showIssuer(ctx, env, c, made)
}

func (o output) showIssuer(ctx context.Context, env command.Env, c *client.Client, i client.Issuer) error {
	if o.JSON {
		return o.print(env.Stdout, i, nil)
	}
	names, err := userGroupNames(ctx, c)
	if err != nil {
		return err
	}
	pairs := []string{"id", i.ID, "name", i.Name, "url", i.URL, "keys", i.Keys}
	for _, a := range i.Audiences {
		pairs = append(pairs, "audience", a)
	}
	for _, claim := range [][2]string{
		{"person", i.Claims.Person},
		{"principal", i.Claims.Principal},
		{"groups", i.Claims.Groups},
		{"application", i.Claims.Application},
		{"roles", i.Claims.Roles},
		{"scopes", i.Claims.Scopes},
	} {
		if claim[1] != "" {
			pairs = append(pairs, "claim of "+claim[0], claim[1])
		}
	}
	for _, theirs := range sortedKeys(i.Groups) {
		pairs = append(pairs, "group", theirs+" = "+names.one(i.Groups[theirs]))
	}
	for _, theirs := range sortedKeys(i.Roles) {
		pairs = append(pairs, "role", theirs+" = "+i.Roles[theirs])
	}
	for _, n := range i.Networks {
		pairs = append(pairs, "network", n)
	}
	return fields(env.Stdout, append(pairs, "created", when(i.Created), "revoked", yesNo(i.Revoked))...)
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

type issuerList struct {
	connection
	output
}

func (*issuerList) Help() string {
	return "Lists issuers in the order of their names, also those that are revoked." + administersAll
}

func (l *issuerList) Run(ctx context.Context, env command.Env) error {
	c, _, err := l.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	issuers, err := c.Issuers(ctx)
	if err != nil {
		return err
	}
	return l.print(env.Stdout, issuers, func(w io.Writer) error {
		rows := make([][]string, len(issuers))
		for n, i := range issuers {
			rows[n] = []string{i.ID, i.Name, i.URL, strings.Join(i.Audiences, ", "), yesNo(i.Revoked)}
		}
		return table(w, "ID NAME URL AUDIENCES REVOKED", rows)
	})
}

// oneIssuer is the issuer of a command.
type oneIssuer struct {
	Issuer string `arg:"" help:"The issuer's name or id."`
	connection
	output
}

func (i *oneIssuer) of(ctx context.Context, env command.Env, ask func(*client.Client, client.Issuer) (client.Issuer, error)) error {
	c, _, err := i.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	issuer, err := issuerNamed(ctx, c, i.Issuer)
	if err == nil {
		issuer, err = ask(c, issuer)
	}
	if err != nil {
		return err
	}
	return i.showIssuer(ctx, env, c, issuer)
}

type issuerShow struct{ oneIssuer }

func (*issuerShow) Help() string { return "Shows an issuer." + administersAll }

func (i *issuerShow) Run(ctx context.Context, env command.Env) error {
	return i.of(ctx, env, func(_ *client.Client, issuer client.Issuer) (client.Issuer, error) { return issuer, nil })
}

type issuerRevoke struct{ oneIssuer }

func (*issuerRevoke) Help() string {
	return "The issuer's tokens are worth nothing from now on, for good." + administersAll
}

func (i *issuerRevoke) Run(ctx context.Context, env command.Env) error {
	return i.of(ctx, env, func(c *client.Client, issuer client.Issuer) (client.Issuer, error) {
		return c.RevokeIssuer(ctx, issuer.ID)
	})
}
