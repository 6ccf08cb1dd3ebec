package clients

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// azIdentity is azidentity, with the pipeline of azcore that all of Azure's own
// clients are made of: it repeats a POST by itself, and takes a token only to https.
func azIdentity(g *goRun, defaults bool) {
	ctx, httpClient := g.ctx, g.http
	tenantID, apiBase, clientID, clientSecret, certificateFile := g.Tenant, g.API, g.ClientID, g.Secret, g.Certificate
	if defaults {
		host := strings.TrimSuffix(g.Authority, tenantID)
		cred, err := azidentity.NewClientSecretCredential(tenantID, clientID, clientSecret, &azidentity.ClientSecretCredentialOptions{
			ClientOptions: azcore.ClientOptions{Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: host}, Transport: httpClient},
		})
		must(g.T, err)
		g.list(g.pipeline(cred), "list")
		return
	}

	// doc: secret
	options := azcore.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: apiBase},
		Transport: httpClient,
	}
	cred, err := azidentity.NewClientSecretCredential(tenantID, clientID, clientSecret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	must(g.T, err)
	token, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{apiBase + "/.default"}})
	// doc: end
	must(g.T, err)
	g.say("token", "Bearer")
	g.road(g.pipeline(cred))
	again, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{apiBase + "/.default"}})
	must(g.T, err)
	if again.Token == token.Token {
		g.say("reuse", "true")
	}

	// doc: certificate
	pem, err := os.ReadFile(certificateFile) // certificate and private key
	must(g.T, err)
	certs, key, err := azidentity.ParseCertificates(pem, nil)
	must(g.T, err)
	byCertificate, err := azidentity.NewClientCertificateCredential(tenantID, clientID, certs, key,
		&azidentity.ClientCertificateCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	// doc: end
	must(g.T, err)
	g.list(g.pipeline(byCertificate), "PS256")
	byChain, err := azidentity.NewClientCertificateCredential(tenantID, clientID, certs, key,
		&azidentity.ClientCertificateCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true, SendCertificateChain: true})
	must(g.T, err)
	g.list(g.pipeline(byChain), "x5c")
	byAssertion, err := azidentity.NewClientAssertionCredential(tenantID, clientID,
		func(context.Context) (string, error) { return g.assertion(g.Authority + "/oauth2/v2.0/token"), nil },
		&azidentity.ClientAssertionCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	must(g.T, err)
	g.list(g.pipeline(byAssertion), "ES256")

	other, err := azidentity.NewClientSecretCredential(tenantID, clientID, "wrong",
		&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	must(g.T, err)
	_, err = other.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{apiBase + "/.default"}})
	g.told(err)
}

// pipeline returns a caller that is an ordinary client of azcore.
func (g *goRun) pipeline(cred azcore.TokenCredential) caller {
	bearer := runtime.NewBearerTokenPolicy(cred, []string{g.API + "/.default"}, nil)
	pipeline := runtime.NewPipeline("test", "v1.0.0", runtime.PipelineOptions{PerRetry: []policy.Policy{bearer}}, &policy.ClientOptions{Transport: g.http})
	return func(ctx context.Context, method, address string, body []byte) (*http.Response, error) {
		req, err := runtime.NewRequest(ctx, method, address)
		if err != nil {
			return nil, err
		}
		if body != nil {
			if err := req.SetBody(streaming.NopCloser(bytes.NewReader(body)), "application/json"); err != nil {
				return nil, err
			}
		}
		return pipeline.Do(req)
	}
}
