package clients

import (
	"context"
	"os"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
)

// msalGo is MSAL for Go.
func msalGo(g *goRun, defaults bool) {
	ctx, httpClient := g.ctx, g.http
	authority, apiBase, clientID, clientSecret, certificateFile := g.Authority, g.API, g.ClientID, g.Secret, g.Certificate
	if defaults {
		cred, err := confidential.NewCredFromSecret(clientSecret)
		must(g.T, err)
		app, err := confidential.New(authority, clientID, cred, confidential.WithHTTPClient(httpClient))
		must(g.T, err)
		g.list(g.bearer(func() string { return g.msalToken(app) }), "list")
		return
	}

	// doc: secret
	cred, err := confidential.NewCredFromSecret(clientSecret)
	must(g.T, err)
	app, err := confidential.New(authority, clientID, cred,
		confidential.WithHTTPClient(httpClient), confidential.WithInstanceDiscovery(false))
	must(g.T, err)
	result, err := app.AcquireTokenByCredential(ctx, []string{apiBase + "/.default"})
	// doc: end
	must(g.T, err)
	g.say("token", "Bearer")
	g.road(g.bearer(func() string { return g.msalToken(app) }))
	again, err := app.AcquireTokenByCredential(ctx, []string{apiBase + "/.default"})
	must(g.T, err)
	if again.AccessToken == result.AccessToken && again.Metadata.TokenSource == confidential.TokenSourceCache {
		g.say("reuse", "true")
	}

	// doc: certificate
	pem, err := os.ReadFile(certificateFile) // certificate and private key
	must(g.T, err)
	certs, key, err := confidential.CertFromPEM(pem, "")
	must(g.T, err)
	byCertificate, err := confidential.NewCredFromCert(certs, key) // in place of cred
	// doc: end
	must(g.T, err)
	g.msalSignIn("PS256", byCertificate)
	g.msalSignIn("x5c", byCertificate, confidential.WithX5C())
	g.msalSignIn("ES256", confidential.NewCredFromAssertionCallback(func(_ context.Context, o confidential.AssertionRequestOptions) (string, error) {
		return g.assertion(o.TokenEndpoint), nil
	}))

	other, err := confidential.NewCredFromSecret("wrong")
	must(g.T, err)
	app, err = confidential.New(authority, clientID, other, confidential.WithHTTPClient(httpClient), confidential.WithInstanceDiscovery(false))
	must(g.T, err)
	_, err = app.AcquireTokenByCredential(ctx, []string{apiBase + "/.default"})
	g.told(err)
}

// msalToken is the token that an application of the library has, or gets.
func (g *goRun) msalToken(app confidential.Client) string {
	g.Helper()
	result, err := app.AcquireTokenByCredential(g.ctx, []string{g.API + "/.default"})
	must(g.T, err)
	return result.AccessToken
}

// msalSignIn lists with a token that was got by another credential.
func (g *goRun) msalSignIn(name string, cred confidential.Credential, options ...confidential.Option) {
	g.Helper()
	options = append(options, confidential.WithHTTPClient(g.http), confidential.WithInstanceDiscovery(false))
	app, err := confidential.New(g.Authority, g.ClientID, cred, options...)
	must(g.T, err)
	g.list(g.bearer(func() string { return g.msalToken(app) }), name)
}
