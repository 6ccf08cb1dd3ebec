package clients

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// azIdentityPerson is azidentity, as it is: it opens a browser by the system's own
// program for that.
func azIdentityPerson(t *testing.T, s site, mode string, ask asking) []step {
	g := &goRun{T: t, site: s, ctx: within(t, 2*time.Minute), http: trusting(t, s)}
	ctx, httpClient := g.ctx, g.http
	tenantID, apiBase, clientID := g.Tenant, g.API, g.ClientID
	show := func(address, code string) { ask("device", address, code) }

	// doc: person
	options := azcore.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: apiBase},
		Transport: httpClient,
	}
	byBrowser, err := azidentity.NewInteractiveBrowserCredential(&azidentity.InteractiveBrowserCredentialOptions{
		ClientOptions: options, TenantID: tenantID, ClientID: clientID, DisableInstanceDiscovery: true,
	})
	must(g.T, err)
	byDeviceCode, err := azidentity.NewDeviceCodeCredential(&azidentity.DeviceCodeCredentialOptions{
		ClientOptions: options, TenantID: tenantID, ClientID: clientID, DisableInstanceDiscovery: true,
		UserPrompt: func(_ context.Context, m azidentity.DeviceCodeMessage) error {
			show(m.VerificationURL, m.UserCode)
			return nil
		},
	})
	// doc: end
	must(t, err)
	scopes := policy.TokenRequestOptions{Scopes: []string{apiBase + "/Machine.Read", apiBase + "/Machine.CollectForensics"}}
	if mode == "device" {
		who, err := byDeviceCode.Authenticate(ctx, &scopes)
		must(t, err)
		token, err := byDeviceCode.GetToken(ctx, scopes)
		must(t, err)
		g.look(g.bearer(func() string { return token.Token }), who.Username)
		return g.steps
	}
	opened := filepath.Join(t.TempDir(), "opened")
	must(t, mkfifo(opened))
	t.Setenv("PATH", filepath.Dir(opener(t, opened))+":"+os.Getenv("PATH"))
	pipe, err := os.OpenFile(opened, os.O_RDWR, 0) // both ends, so that nobody waits for the other
	must(t, err)
	done := make(chan []step)
	go func() { done <- follow(pipe, ask) }()
	defer func() { must(t, pipe.Close()); <-done }()

	who, err := byBrowser.Authenticate(ctx, &scopes)
	must(t, err)
	token, err := byBrowser.GetToken(ctx, scopes)
	must(t, err)
	g.say("token", "Bearer")
	g.say("who", who.Username)
	g.road(g.bearer(func() string { return token.Token }))
	again, err := byBrowser.GetToken(ctx, scopes)
	must(t, err)
	if again.Token == token.Token {
		g.say("reuse", "true")
	}
	scopes.Claims = `{"access_token":{"nbf":null}}`
	next, err := byBrowser.GetToken(ctx, scopes)
	must(t, err)
	if next.Token == token.Token {
		t.Error("the token was not refreshed")
	}
	g.list(g.bearer(func() string { return next.Token }), "refresh")
	return g.steps
}
