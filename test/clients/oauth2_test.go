package clients

import (
	"bytes"
	"context"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// xOAuth2 is golang.org/x/oauth2, which knows nothing of Microsoft. Where it is
// not told how to send the secret, it tries Basic first.
func xOAuth2(g *goRun, defaults bool) {
	ctx, httpClient := g.ctx, g.http
	authority, apiBase, clientID, clientSecret := g.Authority, g.API, g.ClientID, g.Secret

	// doc: secret
	config := clientcredentials.Config{
		ClientID: clientID, ClientSecret: clientSecret,
		TokenURL: authority + "/oauth2/v2.0/token",
		Scopes:   []string{apiBase + "/.default"},
	}
	client := config.Client(context.WithValue(ctx, oauth2.HTTPClient, httpClient)) // adds the token to each request
	// doc: end
	if defaults {
		g.list(plain(client), "list")
		return
	}
	source := oauth2.ReuseTokenSource(nil, config.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, httpClient)))
	token, err := source.Token()
	must(g.T, err)
	g.say("token", token.Type())
	g.road(plain(client))
	again, err := source.Token()
	must(g.T, err)
	if again.AccessToken == token.AccessToken {
		g.say("reuse", "true")
	}

	config.AuthStyle = oauth2.AuthStyleInParams
	g.list(plain(config.Client(context.WithValue(ctx, oauth2.HTTPClient, httpClient))), "in-body")
	config.AuthStyle = oauth2.AuthStyleInHeader
	g.list(plain(config.Client(context.WithValue(ctx, oauth2.HTTPClient, httpClient))), "basic")

	byAssertion := clientcredentials.Config{
		ClientID: clientID, TokenURL: config.TokenURL, Scopes: config.Scopes, AuthStyle: oauth2.AuthStyleInParams,
		EndpointParams: url.Values{
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {g.assertion(config.TokenURL)},
		},
	}
	g.list(plain(byAssertion.Client(context.WithValue(ctx, oauth2.HTTPClient, httpClient))), "ES256")

	other := clientcredentials.Config{ClientID: clientID, ClientSecret: "wrong", TokenURL: config.TokenURL, Scopes: config.Scopes}
	_, err = other.Token(context.WithValue(ctx, oauth2.HTTPClient, httpClient))
	g.told(err)
}

// plain returns a caller that leaves the token to the client.
func plain(client *http.Client) caller {
	return func(ctx context.Context, method, address string, body []byte) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		if body != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		return client.Do(req)
	}
}
