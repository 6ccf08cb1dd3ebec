package e2e

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"swab/client"
	"swab/internal/agent/state"
	"swab/test/installation"
)

// secrets are what nobody may read by a side door, each by what it is.
type secrets map[string]string

// leaks names the secrets that a text holds, raw or in one of the usual
// encodings.
func (s secrets) leaks(text []byte) (found []string) {
	for what, value := range s {
		for _, form := range []string{
			value, base64.StdEncoding.EncodeToString([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte(value)), hex.EncodeToString([]byte(value)), url.QueryEscape(value),
		} {
			if bytes.Contains(text, []byte(form)) {
				found = append(found, what)
				break
			}
		}
	}
	return found
}

// The secrets of an installation are searched for in what it says: answers good
// and bad, its log, its metrics, the audit log, a package, and the agent's log.
func TestNoSecretIsSaidTwice(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	metrics := l.Addr().String()
	must(t, l.Close())
	in, c, device := install(t, "--metrics-listen", metrics, "--log-level", "debug")
	cred, err := in.Credentials()
	must(t, err)
	key, err := os.ReadFile(filepath.Join(in.Data, "master.key"))
	must(t, err)
	known := secrets{"bootstrap secret": cred.ClientSecret, "bootstrap enrolment token": cred.EnrollmentToken, "master key": strings.TrimSpace(string(key))}

	// Each of these answers holds its own secret, once; from then on nothing does.
	app, err := c.CreateApp(t.Context(), client.AppRequest{Name: "canary", Roles: []string{"Machine.Read.All"}, Secret: &client.SecretRequest{}})
	must(t, err)
	second, err := c.AddSecret(t.Context(), app.ID, client.SecretRequest{Name: "second"})
	must(t, err)
	token, err := c.CreateEnrollment(t.Context(), client.EnrollmentRequest{Name: "canary", Count: 1})
	must(t, err)
	tenant, err := c.CreateTenant(t.Context(), "canary.example")
	must(t, err)
	known["client secret"], known["second client secret"], known["enrolment token"] = app.ClientSecret, second.ClientSecret, token.Token
	known["a tenant's client secret"], known["a tenant's enrolment token"] = tenant.ClientSecret, tenant.EnrollmentToken
	for what, value := range known {
		if len(value) < 32 {
			t.Fatalf("%s is %q, which is no secret", what, value)
		}
	}
	user, err := c.CreateUser(t.Context(), client.UserRequest{Principal: "canary@contoso.example"})
	must(t, err)
	reset, err := c.ResetPassword(t.Context(), user.ID, "")
	must(t, err)
	const chosen = "an Otter in the 3rd canoe"
	_, err = c.ResetPassword(t.Context(), user.ID, chosen)
	must(t, err)
	known["a user's first password"], known["a user's second password"], known["a user's chosen password"] = user.InitialPassword, reset.InitialPassword, chosen
	a := succeed(t, c, device)
	access := signIn(t, cred)
	known["access token"] = access
	link, err := c.PackageURI(t.Context(), a.ID)
	must(t, err)
	signed, err := url.Parse(link)
	must(t, err)
	if known["link signature"] = signed.Query().Get("s"); len(known["link signature"]) < 32 {
		t.Fatalf("the link %s has no signature", link)
	}

	said := map[string][]byte{}
	ask := func(method, path, bearer, body string) (int, []byte) {
		t.Helper()
		status, answer := send(t, cred, method, path, bearer, body)
		said[method+" "+path+" "+body] = answer
		return status, answer
	}
	for _, path := range []string{
		"machines", "machines/" + device, "machineactions", "machineactions/" + a.ID, "swab/v1/audit", "swab/v1/audit/entries?top=1000", "swab/v1/audit/entries/0", "admin/v1/apps", "admin/v1/apps/" + app.ID, "admin/v1/enrollments",
		"admin/v1/users", "admin/v1/users/" + user.ID, "admin/v1/users/canary@contoso.example/sessions", "admin/v1/users?$select=password", "admin/v1/users?password=x", "admin/v1/userGroups", "admin/v1/issuers",
		"admin/v1/tenants", "admin/v1/apps?$filter=hash+eq+'x'", "admin/v1/apps?$select=secrets", "admin/v1/enrollments?$orderby=hash",
		"machines?$filter=keys+eq+'x'", "machines?$select=keys", "machines?$orderby=statements", "machineactions?$select=opening",
	} {
		if status, _ := ask("GET", "/api/"+path, access, ""); status != http.StatusOK && status != http.StatusBadRequest {
			t.Errorf("GET %s: %d", path, status)
		}
	}
	for _, value := range known { // sent back as what it is not
		ask("POST", "/api/admin/v1/enrollments/"+url.PathEscape(value)+"/revoke", "", "")
		ask("POST", "/"+cred.TenantID+"/oauth2/v2.0/token", "", "grant_type=client_credentials&client_id="+app.ID+"&scope=x&client_secret="+value)
		ask("POST", "/enroll", value, "{}")
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/metrics", "/api/debug/pprof/"} {
		if status, answer := ask("GET", path, access, ""); status != http.StatusNotFound && status != http.StatusBadRequest {
			t.Errorf("GET %s on the public listener: %d %.200s", path, status, answer)
		}
	}
	for path, want := range map[string]int{"/metrics": 200, "/debug/pprof/": 404, "/debug/vars": 404} {
		status, answer := get(t, "http://"+metrics+path)
		if status != want {
			t.Errorf("GET %s on the listener of metrics: %d", path, status)
		}
		said["metrics "+path] = answer
	}
	for _, args := range [][]string{
		{"app", "list"}, {"app", "show", app.ID, "--json"}, {"enrollment", "list", "--json"}, {"tenant", "list"}, {"audit", "verify"}, {"device", "list", "--json"},
		{"app", "secret", "remove", app.ID, second.ID}, {"app", "revoke", app.ID}, {"tenant", "revoke", tenant.TenantID}, {"device", "revoke", device},
	} {
		code, out := swab(t, in, args...)
		if code != 0 {
			t.Errorf("swab %v: exit %d: %s", args, code, out)
		}
		said["swab "+strings.Join(args, " ")] = []byte(out)
	}
	said["the package"] = unpacked(t, c, link)
	must(t, in.Agents["a"].Await(within(t, 30*time.Second), "revoked"))
	must(t, in.Server.Stop())
	for _, log := range []string{"server.log", "agent-a.log"} {
		text, err := os.ReadFile(filepath.Join(in.Dir, log))
		must(t, err)
		if len(text) == 0 {
			t.Errorf("%s is empty", log)
		}
		said[log] = text
	}
	identity, err := state.ReadIdentity(in.State("a"))
	must(t, err)
	known["device key"] = string(identity.Seed)
	for what, value := range keptSecrets(t, in) {
		known[what] = value
	}
	for where, text := range said {
		if found := known.leaks(text); len(found) > 0 {
			t.Errorf("%.60s holds %v", where, found)
		}
	}
	if found := known.leaks([]byte("x" + base64.RawURLEncoding.EncodeToString([]byte(app.ClientSecret)))); len(found) != 1 {
		t.Error("the search finds no secret")
	}
}

// keptSecrets are what the database keeps in the place of secrets: hashes, and
// keys that are sealed.
func keptSecrets(t *testing.T, in *installation.Installation) secrets {
	t.Helper()
	driver, source := "sqlite", filepath.Join(in.Data, "swab.db")
	if in.Database != "" {
		driver, source = "pgx", in.Database
	}
	db, err := sql.Open(driver, source)
	must(t, err)
	defer db.Close()
	kept := secrets{}
	for what, query := range map[string]string{
		"hash of a client secret":     "SELECT hash FROM app_secrets",
		"hash of an enrolment token":  "SELECT hash FROM enrollments",
		"hash of a user's password":   "SELECT password FROM user_credentials",
		"sealed half of a server key": "SELECT sealed FROM server_keys WHERE sealed IS NOT NULL",
	} {
		rows, err := db.QueryContext(t.Context(), query)
		must(t, err)
		for n := 1; rows.Next(); n++ {
			var value []byte
			must(t, rows.Scan(&value))
			kept[fmt.Sprintf("%s, no. %d", what, n)] = string(value)
		}
		must(t, errors.Join(rows.Err(), rows.Close()))
		if len(kept) == 0 {
			t.Errorf("%s: the database has none", what)
		}
	}
	return kept
}

// unpacked is all that a package and its receipt hold.
func unpacked(t *testing.T, c *client.Client, link string) []byte {
	t.Helper()
	var file, all bytes.Buffer
	got, err := c.DownloadURI(t.Context(), link, &file)
	must(t, err)
	all.Write(got.Receipt)
	r, err := zip.NewReader(bytes.NewReader(file.Bytes()), int64(file.Len()))
	must(t, err)
	for _, f := range r.File {
		e, err := f.Open()
		must(t, err)
		_, err = io.Copy(&all, e)
		must(t, errors.Join(err, e.Close()))
	}
	return all.Bytes()
}

// signIn gets an access token by the bootstrap secret.
func signIn(t *testing.T, cred client.Credentials) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {cred.ClientID}, "client_secret": {cred.ClientSecret}, "scope": {cred.APIBase + "/.default"}}
	_, answer := send(t, cred, "POST", "/"+cred.TenantID+"/oauth2/v2.0/token", "", form.Encode())
	var got struct {
		Token string `json:"access_token"`
	}
	_, body, _ := bytes.Cut(answer, []byte("\n\n"))
	if err := json.Unmarshal(body, &got); err != nil || got.Token == "" {
		t.Fatalf("no token: %v", err)
	}
	return got.Token
}

// send makes a request of the public listener and returns all that comes back.
func send(t *testing.T, cred client.Credentials, method, path, bearer, body string) (int, []byte) {
	t.Helper()
	pem, err := os.ReadFile(cred.CAFile)
	must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), method, cred.APIBase+path, strings.NewReader(body))
	must(t, err)
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	if strings.Contains(path, "/token") {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return do(t, &http.Client{Transport: transport}, req)
}

func get(t *testing.T, address string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, address, nil)
	must(t, err)
	return do(t, http.DefaultClient, req)
}

func do(t *testing.T, c *http.Client, req *http.Request) (int, []byte) {
	t.Helper()
	resp, err := c.Do(req)
	must(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	must(t, err)
	var head bytes.Buffer
	for name, values := range resp.Header {
		fmt.Fprintln(&head, name, values)
	}
	fmt.Fprintln(&head)
	return resp.StatusCode, append(head.Bytes(), answer...)
}
