// Package client is the Go client of a Swab server: it asks devices for
// investigation packages, follows the actions and fetches what they bring.
//
//	cred, err := client.ReadCredentials("swab-data/bootstrap.json")
//	c, err := client.New(cred.Config())
//	action, err := c.Collect(ctx, "web1.example.org", client.CollectRequest{Comment: "alert 1234"})
//	action, err = c.Wait(ctx, action.ID)
//	pkg, err := c.Download(ctx, action.ID, file)
//
// The API is that of Microsoft Defender for Endpoint, as far as it collects
// investigation packages; the audit log, the bytes of dead attempts, and all of
// administration (applications, enrolment tokens, tenants, the revocation of
// devices) are Swab's own. Signing in is OAuth 2.0 client credentials, by a secret
// or by a certificate: the client fetches a token when it needs one, renews it
// before it expires, and gets a new one once where the server refuses the old.
//
// Each call but Wait and Download has a deadline ([Config.Timeout]) beside that
// of its context. One that is refused for a limit of calls waits as long as the
// server says and is made again, if that is at most two minutes and within the
// context's deadline. An answer is read up to a bound. No redirect is followed, and
// nothing but https is spoken, since each request carries a token. A failure
// that the server reports is an [*Error].
//
// Lists are asked for in the words of OData ([Page]), one answer at a time or as a
// whole: [Client.AllMachines] and [Client.AllActions] follow the server's links
// from one answer to the next.
//
// A [Client] is safe for concurrent use.
package client
