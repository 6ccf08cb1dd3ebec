package cli

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"path"

	"swab/client"
	"swab/internal/command"
)

// connection is how a command reaches its server, and as whom: an application that
// has credentials, or where none are given the person that swab login signed in.
// What a flag or a variable says wins over the file of credentials.
type connection struct {
	Credentials  string         `help:"The server's bootstrap.json: where it is, and who asks." env:"SWAB_CREDENTIALS" placeholder:"FILE"`
	APIBase      string         `name:"api-base" help:"Base URL of the server." env:"SWAB_API_BASE" placeholder:"URL"`
	Authority    string         `help:"Where tokens come from: the base URL and the tenant's id." env:"SWAB_AUTHORITY" placeholder:"URL"`
	ClientID     string         `name:"client-id" help:"The application that asks; its secret is taken from $SWAB_CLIENT_SECRET, never from a flag." env:"SWAB_CLIENT_ID" placeholder:"ID"`
	ClientSecret command.Secret `help:"The application's secret." env:"SWAB_CLIENT_SECRET"`
	Certificate  string         `name:"client-certificate" help:"PEM file of a certificate of the application and its private key, in place of a secret." env:"SWAB_CLIENT_CERTIFICATE" placeholder:"FILE"`
	CAFile       string         `name:"ca-file" help:"Authorities that the server's certificate is judged by, PEM. Default: the system's." env:"SWAB_CA_FILE" placeholder:"FILE"`
	signInFile
}

// asPerson says whether no application is named, so that a person asks.
func (c *connection) asPerson() bool {
	return c.Credentials == "" && c.ClientID == "" && c.ClientSecret.Reveal() == "" && c.Certificate == ""
}

// read returns the credentials that the settings come to.
func (c *connection) read() (client.Credentials, error) {
	var cred client.Credentials
	if c.Credentials != "" {
		var err error
		if cred, err = client.ReadCredentials(c.Credentials); err != nil {
			return cred, err
		}
	}
	for _, over := range []struct {
		field *string
		value string
	}{
		{&cred.APIBase, c.APIBase},
		{&cred.Authority, c.Authority},
		{&cred.ClientID, c.ClientID},
		{&cred.ClientSecret, c.ClientSecret.Reveal()},
		{&cred.CAFile, c.CAFile},
	} {
		if over.value != "" {
			*over.field = over.value
		}
	}
	if cred.APIBase == "" {
		return cred, errors.New("which server? give --credentials bootstrap.json, or SWAB_API_BASE, SWAB_AUTHORITY, SWAB_CLIENT_ID, SWAB_CLIENT_SECRET and SWAB_CA_FILE")
	}
	if u, err := url.Parse(cred.Authority); cred.TenantID == "" && err == nil {
		cred.TenantID = path.Base(u.Path)
	}
	return cred, nil
}

// open returns a client of the server.
func (c *connection) open(env command.Env) (*client.Client, client.Credentials, error) {
	if c.asPerson() {
		return c.openAsPerson(env)
	}
	cred, err := c.read()
	if err != nil {
		return nil, cred, err
	}
	config := cred.Config()
	config.UserAgent, config.Now = "swab/"+release(), env.Now
	if c.Certificate != "" {
		if config.Certificate, err = client.ReadCertificate(c.Certificate); err != nil {
			return nil, cred, err
		}
	}
	cl, err := client.New(config)
	return cl, cred, err
}

// openAsPerson returns a client for the person who is signed in.
func (c *connection) openAsPerson(env command.Env) (*client.Client, client.Credentials, error) {
	var cred client.Credentials
	file, err := c.path(env)
	if err != nil {
		return nil, cred, err
	}
	kept, err := file.read()
	if errors.Is(err, errNotSignedIn) {
		return nil, cred, fmt.Errorf("%w, or give an application's credentials: --credentials bootstrap.json, or SWAB_API_BASE, SWAB_AUTHORITY, SWAB_CLIENT_ID, SWAB_CLIENT_SECRET and SWAB_CA_FILE", err)
	}
	if err != nil {
		return nil, cred, err
	}
	if c.APIBase != "" && c.APIBase != kept.APIBase {
		return nil, cred, fmt.Errorf("the sign-in is at %s, not at %s: sign in there by swab login", kept.APIBase, c.APIBase)
	}
	config := kept.config(env)
	config.Tokens = &keptTokens{file, env}
	cl, err := client.New(config)
	return cl, client.Credentials{APIBase: kept.APIBase, Authority: kept.Authority, TenantID: kept.Grant.Tenant, ClientID: kept.ClientID, CAFile: kept.CAFile}, err
}

// publicKey reads an Ed25519 public key in base64.
func publicKey(s string) (ed25519.PublicKey, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%.60q is not an Ed25519 public key (32 bytes in base64)", s)
	}
	return b, nil
}
