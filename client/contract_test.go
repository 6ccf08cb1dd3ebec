package client_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"swab/api"
	"swab/api/contract"
	"swab/client"
)

// calls are the methods by the operation that each one is for.
var calls = map[string]func(ctx context.Context, c *client.Client) error{
	"collectInvestigationPackage": func(ctx context.Context, c *client.Client) error {
		return second(c.Collect(ctx, "web1", client.CollectRequest{Comment: "x", ExternalID: "y"}))
	},
	"listMachineActions": func(ctx context.Context, c *client.Client) error { return each(c.AllActions(ctx, client.Page{})) },
	"countMachineActions": func(ctx context.Context, c *client.Client) error {
		return second(c.CountActions(ctx, "status eq 'Pending'"))
	},
	"getMachineAction": func(ctx context.Context, c *client.Client) error { return second(c.Action(ctx, "a")) },
	"listActionsOfMachine": func(ctx context.Context, c *client.Client) error {
		return second(c.ActionsOf(ctx, "web1", client.Page{}))
	},
	"countActionsOfMachine": func(ctx context.Context, c *client.Client) error { return second(c.CountActionsOf(ctx, "web1", "")) },
	"getPackageUri":         func(ctx context.Context, c *client.Client) error { return second(c.PackageURI(ctx, "a")) },
	"downloadPackage":       func(ctx context.Context, c *client.Client) error { return second(c.Download(ctx, "a", io.Discard)) },
	"downloadReceipt":       func(ctx context.Context, c *client.Client) error { return second(c.Download(ctx, "a", io.Discard)) },
	"cancelMachineAction":   func(ctx context.Context, c *client.Client) error { return second(c.Cancel(ctx, "a", "x")) },

	"listMachines":  func(ctx context.Context, c *client.Client) error { return each(c.AllMachines(ctx, client.Page{})) },
	"countMachines": func(ctx context.Context, c *client.Client) error { return second(c.CountMachines(ctx, "")) },
	"getMachine":    func(ctx context.Context, c *client.Client) error { return second(c.Machine(ctx, "web1")) },
	"findMachinesByIp": func(ctx context.Context, c *client.Client) error {
		return second(c.MachinesByIP(ctx, netip.MustParseAddr("fe80::1%eth0"), time.Now()))
	},
	"findMachinesByTag": func(ctx context.Context, c *client.Client) error { return second(c.MachinesByTag(ctx, "a b", true)) },
	"tagMachine":        func(ctx context.Context, c *client.Client) error { return second(c.AddTag(ctx, "web1", "x")) },
	"tagMachines": func(ctx context.Context, c *client.Client) error {
		return second(c.RemoveTagFromAll(ctx, []string{"x"}, "y"))
	},
	"setDeviceValue": func(ctx context.Context, c *client.Client) error {
		return second(c.SetDeviceValue(ctx, "web1", "High"))
	},
	"updateMachine": func(ctx context.Context, c *client.Client) error {
		return second(c.UpdateMachine(ctx, "web1", client.MachineChange{Tags: []string{}}))
	},
	"listAvailableActions": func(ctx context.Context, c *client.Client) error { return second(c.AvailableActions(ctx, "web1")) },

	"readAuditLog": func(ctx context.Context, c *client.Client) error { return second(c.Audit(ctx, 0, 1)) },
	"searchAuditLog": func(ctx context.Context, c *client.Client) error {
		return second(c.SearchAudit(ctx, client.AuditSearch{Since: time.Unix(1, 0), Acts: []string{"user.*", "app.create"}, Who: "user/x", Result: "done", Top: 5}, "x"))
	},
	"getAuditEntry": func(ctx context.Context, c *client.Client) error { return second(c.AuditEntry(ctx, 0)) },
	"getAttempt": func(ctx context.Context, c *client.Client) error {
		return second(c.AttemptBytes(ctx, "a", 1, io.Discard))
	},

	"listApps": func(ctx context.Context, c *client.Client) error { return second(c.Apps(ctx)) },
	"createApp": func(ctx context.Context, c *client.Client) error {
		return second(c.CreateApp(ctx, client.AppRequest{Name: "x", Secret: &client.SecretRequest{}}))
	},
	"getApp": func(ctx context.Context, c *client.Client) error { return second(c.App(ctx, "a")) },
	"changeApp": func(ctx context.Context, c *client.Client) error {
		return second(c.ChangeApp(ctx, "a", client.AppChange{Scopes: &[]string{"Machine.Read"}, Public: new(false)}))
	},
	"revokeApp": func(ctx context.Context, c *client.Client) error { return second(c.RevokeApp(ctx, "a")) },
	"addSecret": func(ctx context.Context, c *client.Client) error {
		return second(c.AddSecret(ctx, "a", client.SecretRequest{Expires: time.Now()}))
	},
	"removeSecret": func(ctx context.Context, c *client.Client) error { return second(c.RemoveSecret(ctx, "a", "b")) },
	"addCertificate": func(ctx context.Context, c *client.Client) error {
		return second(c.AddCertificate(ctx, "a", "x", &x509.Certificate{Raw: []byte("x")}, time.Time{}))
	},
	"removeCertificate": func(ctx context.Context, c *client.Client) error { return second(c.RemoveCertificate(ctx, "a", "b")) },
	"listUsers":         func(ctx context.Context, c *client.Client) error { return each(c.Users(ctx)) },
	"createUser": func(ctx context.Context, c *client.Client) error {
		return second(c.CreateUser(ctx, client.UserRequest{Principal: "ann@contoso.example", Administrator: true}))
	},
	"getUser": func(ctx context.Context, c *client.Client) error { return second(c.User(ctx, "ann@contoso.example")) },
	"changeUser": func(ctx context.Context, c *client.Client) error {
		return second(c.ChangeUser(ctx, "a", client.UserChange{Groups: &[]string{}}))
	},
	"disableUser":    func(ctx context.Context, c *client.Client) error { return second(c.DisableUser(ctx, "a")) },
	"enableUser":     func(ctx context.Context, c *client.Client) error { return second(c.EnableUser(ctx, "a")) },
	"resetPassword":  func(ctx context.Context, c *client.Client) error { return second(c.ResetPassword(ctx, "a", "")) },
	"resetTotp":      func(ctx context.Context, c *client.Client) error { return second(c.ResetTOTP(ctx, "a")) },
	"listSessions":   func(ctx context.Context, c *client.Client) error { return second(c.Sessions(ctx, "a")) },
	"revokeSessions": func(ctx context.Context, c *client.Client) error { return second(c.RevokeSessions(ctx, "a")) },
	"listUserGroups": func(ctx context.Context, c *client.Client) error { return second(c.UserGroups(ctx)) },
	"createUserGroup": func(ctx context.Context, c *client.Client) error {
		return second(c.CreateUserGroup(ctx, client.UserGroupRequest{Name: "x"}))
	},
	"getUserGroup": func(ctx context.Context, c *client.Client) error { return second(c.UserGroup(ctx, "a")) },
	"changeUserGroup": func(ctx context.Context, c *client.Client) error {
		return second(c.ChangeUserGroup(ctx, "a", client.UserGroupChange{Name: new("x")}))
	},
	"deleteUserGroup": func(ctx context.Context, c *client.Client) error { return second(c.DeleteUserGroup(ctx, "a")) },
	"listMembers":     func(ctx context.Context, c *client.Client) error { return each(c.Members(ctx, "a")) },
	"addMember":       func(ctx context.Context, c *client.Client) error { return second(c.AddMember(ctx, "a", "b")) },
	"removeMember":    func(ctx context.Context, c *client.Client) error { return second(c.RemoveMember(ctx, "a", "b")) },
	"listRoles":       func(ctx context.Context, c *client.Client) error { return second(c.Roles(ctx)) },
	"createRole": func(ctx context.Context, c *client.Client) error {
		return second(c.CreateRole(ctx, client.RoleRequest{Name: "x", Permissions: []string{"View data"}}))
	},
	"getRole": func(ctx context.Context, c *client.Client) error { return second(c.Role(ctx, "a")) },
	"changeRole": func(ctx context.Context, c *client.Client) error {
		return second(c.ChangeRole(ctx, "a", client.RoleChange{UserGroups: &[]string{"b"}}))
	},
	"deleteRole":       func(ctx context.Context, c *client.Client) error { return second(c.DeleteRole(ctx, "a")) },
	"listDeviceGroups": func(ctx context.Context, c *client.Client) error { return second(c.DeviceGroups(ctx)) },
	"createDeviceGroup": func(ctx context.Context, c *client.Client) error {
		rule := []client.Condition{{Property: "tag", Operator: "equals", Values: []string{"x"}}}
		return second(c.CreateDeviceGroup(ctx, client.DeviceGroupRequest{Name: "x", Rule: rule}))
	},
	"getDeviceGroup": func(ctx context.Context, c *client.Client) error { return second(c.DeviceGroup(ctx, 1)) },
	"changeDeviceGroup": func(ctx context.Context, c *client.Client) error {
		return second(c.ChangeDeviceGroup(ctx, 1, client.DeviceGroupChange{Rank: new(1)}))
	},
	"deleteDeviceGroup": func(ctx context.Context, c *client.Client) error { return second(c.DeleteDeviceGroup(ctx, 1)) },
	"previewRule": func(ctx context.Context, c *client.Client) error {
		return second(c.PreviewRule(ctx, []client.Condition{{Property: "os", Operator: "equals", Values: []string{"linux"}}}))
	},
	"orderDeviceGroups": func(ctx context.Context, c *client.Client) error { return second(c.OrderDeviceGroups(ctx, nil)) },
	"listIssuers":       func(ctx context.Context, c *client.Client) error { return second(c.Issuers(ctx)) },
	"createIssuer": func(ctx context.Context, c *client.Client) error {
		return second(c.CreateIssuer(ctx, client.IssuerRequest{Name: "x", URL: "https://x.example", Audiences: []string{"y"}}))
	},
	"getIssuer": func(ctx context.Context, c *client.Client) error { return second(c.Issuer(ctx, "a")) },
	"changeIssuer": func(ctx context.Context, c *client.Client) error {
		return second(c.ChangeIssuer(ctx, "a", client.IssuerChange{Claims: &client.IssuerClaims{Groups: "roles"}}))
	},
	"revokeIssuer":    func(ctx context.Context, c *client.Client) error { return second(c.RevokeIssuer(ctx, "a")) },
	"listEnrollments": func(ctx context.Context, c *client.Client) error { return second(c.Enrollments(ctx)) },
	"createEnrollment": func(ctx context.Context, c *client.Client) error {
		return second(c.CreateEnrollment(ctx, client.EnrollmentRequest{Count: 1, Tags: []string{"x"}}))
	},
	"revokeEnrollment": func(ctx context.Context, c *client.Client) error { return second(c.RevokeEnrollment(ctx, "a")) },
	"listDevices": func(ctx context.Context, c *client.Client) error {
		return second(c.Devices(ctx, client.DeviceQuery{Name: "a", Top: 1}))
	},
	"getDevice":       func(ctx context.Context, c *client.Client) error { return second(c.Device(ctx, "a")) },
	"renameDevice":    func(ctx context.Context, c *client.Client) error { return second(c.RenameDevice(ctx, "a", "b")) },
	"retireDevice":    func(ctx context.Context, c *client.Client) error { return second(c.RetireDevice(ctx, "a")) },
	"restoreDevice":   func(ctx context.Context, c *client.Client) error { return second(c.RestoreDevice(ctx, "a")) },
	"rotateDeviceKey": func(ctx context.Context, c *client.Client) error { return second(c.RotateDeviceKey(ctx, "a")) },
	"revokeDevice":    func(ctx context.Context, c *client.Client) error { return second(c.RevokeDevice(ctx, "a")) },
	"listTenants":     func(ctx context.Context, c *client.Client) error { return second(c.Tenants(ctx)) },
	"createTenant": func(ctx context.Context, c *client.Client) error {
		return second(c.CreateTenant(ctx, "fabrikam.example"))
	},
	"revokeTenant": func(ctx context.Context, c *client.Client) error { return second(c.RevokeTenant(ctx, "a")) },
	"getRetention": func(ctx context.Context, c *client.Client) error { return second(c.Retention(ctx)) },
	"changeRetention": func(ctx context.Context, c *client.Client) error {
		return second(c.ChangeRetention(ctx, client.RetentionChange{Days: &client.Rule[int]{Figure: 90}, Bytes: &client.Rule[int64]{}}))
	},
	"listHolds": func(ctx context.Context, c *client.Client) error { return second(c.Holds(ctx)) },
	"addHold": func(ctx context.Context, c *client.Client) error {
		return second(c.AddHold(ctx, client.HoldRequest{Device: "web1", Reason: "x"}))
	},
	"removeHold": func(ctx context.Context, c *client.Client) error { return second(c.RemoveHold(ctx, "a")) },
	"listKeys":   func(ctx context.Context, c *client.Client) error { return second(c.TokenKeys(ctx)) },
	"rotateKey":  func(ctx context.Context, c *client.Client) error { return second(c.RotateTokenKey(ctx, true)) },

	"getToken": func(ctx context.Context, c *client.Client) error { return second(c.Machine(ctx, "web1")) }, // each call needs one
}

// without are the operations that have no method, and why.
var without = map[string]string{
	"getDeviceCode": "a sign-in has it: SignIn.DeviceCode", "getDeviceCodeV1": "v2 serves", "revokeToken": "a sign-in has it: SignIn.End",
	"getTokenV1": "v2 serves", "getMetadata": "the token endpoint is known", "getMetadataV1": "the token endpoint is known",
	"getSigningKeys": "the server checks tokens", "getSigningKeysV1": "the server checks tokens", "discoverInstance": "the authority is given",
	"listAlerts": "nothing is there", "countAlerts": "nothing is there", "getExposureScore": "nothing is there",
	"isolate": "it does nothing", "unisolate": "it does nothing", "restrictCodeExecution": "it does nothing", "unrestrictCodeExecution": "it does nothing",
	"runAntiVirusScan": "it does nothing", "offboard": "it does nothing", "StopAndQuarantineFile": "it does nothing", "runliveresponse": "it does nothing",
	"startInvestigation": "it does nothing",
}

func second[T any](_ T, err error) error { return err }

func each[T any](rows iter.Seq2[T, error]) error {
	for _, err := range rows {
		if err != nil {
			return err
		}
	}
	return nil
}

// examples is a server that answers each request with the document's example,
// and holds the request against the document.
type examples struct {
	*httptest.Server
	t    *testing.T
	book *contract.Book
	doc  *contract.Contract
	mu   sync.Mutex
	seen map[string]bool
}

func serveExamples(t *testing.T) (*examples, *client.Client) {
	t.Helper()
	s := &examples{t: t, seen: map[string]bool{}}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Close)
	text := strings.ReplaceAll(api.Document(), api.Base, s.URL)
	var err error
	if s.doc, err = contract.Read(text); err != nil {
		t.Fatal(err)
	}
	if s.book, err = contract.Open(text); err != nil {
		t.Fatal(err)
	}
	return s, connect(t, s.Server)
}

// connect returns a client of a server.
func connect(t *testing.T, s *httptest.Server) *client.Client {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Config{BaseURL: s.URL, Authority: s.URL + "/contoso.example", ClientID: "a", ClientSecret: "b", CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// take returns the operations that were asked for, and forgets them.
func (s *examples) take() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen = map[string]bool{}
	return seen
}

func (s *examples) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o, _ := s.doc.Find(r.Method, r.URL)
	if o == nil {
		s.t.Errorf("%s %s is of no operation", r.Method, r.URL)
		return
	}
	s.mu.Lock()
	s.seen[o.ID] = true
	s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if media := r.Header.Get("Content-Type"); err != nil || media == "application/json" && s.doc.CheckRequest(o, media, body) != nil {
		s.t.Errorf("%s: %v, %v: %s", o.ID, err, s.doc.CheckRequest(o, media, body), body)
	}
	status, media, reply := s.book.Reply(o)
	if media == "application/vnd.dsse.envelope.v1+json" || media == "application/zip" {
		w.Header().Set("Content-Disposition", `attachment; filename="x"`)
	}
	w.Header().Set("Content-Type", media)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, reply)
}

func TestEveryOperationHasAMethodThatReadsItsExample(t *testing.T) {
	s, c := serveExamples(t)
	for _, o := range s.doc.Operations() {
		call, reason := calls[o.ID], without[o.ID]
		switch {
		case call == nil && reason == "":
			t.Errorf("%s has no method of the client", o.ID)
		case call != nil:
			if o.ID == "getToken" {
				s, c = serveExamples(t)
			}
			s.take()
			err := call(t.Context(), c)
			if seen := s.take(); err != nil || !seen[o.ID] {
				t.Errorf("%s: asked for %v, %v", o.ID, seen, err)
			}
		}
	}
}

func TestAMachineIsReadInFull(t *testing.T) {
	s, c := serveExamples(t)
	got, err := c.UpdateMachine(t.Context(), "web1", client.MachineChange{})
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	for _, o := range s.doc.Operations() {
		if o.ID == "updateMachine" {
			_, _, reply := s.book.Reply(o)
			if err := json.Unmarshal([]byte(reply), &want); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got.Risk != want["riskScore"] || got.Value != want["deviceValue"] || got.ID != want["id"] || len(got.Tags) != len(want["machineTags"].([]any)) {
		t.Errorf("%+v, want %v", got, want)
	}
}

// pages is a list of three answers.
func pages(next func(base string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/token") {
			_, _ = io.WriteString(w, `{"token_type":"Bearer","expires_in":3600,"access_token":"t"}`)
			return
		}
		base := "https://" + r.Host
		switch q := r.URL.Query(); {
		case q.Get("$filter") != "healthStatus eq 'Active'":
			w.WriteHeader(http.StatusBadRequest)
		case !q.Has("$skiptoken"):
			_ = json.NewEncoder(w).Encode(map[string]any{"value": []any{map[string]any{"id": "1"}, map[string]any{"id": "2"}}, "@odata.nextLink": next(base)})
		case q.Get("$skiptoken") == "a+b":
			_ = json.NewEncoder(w).Encode(map[string]any{"value": []any{map[string]any{"id": "3"}}})
		}
	}
}

func listing(t *testing.T, next func(base string) string) *client.Client {
	t.Helper()
	s := httptest.NewTLSServer(pages(next))
	t.Cleanup(s.Close)
	return connect(t, s)
}

func TestAListIsFollowedToItsEndAndNowhereElse(t *testing.T) {
	page := client.Page{Filter: "healthStatus eq 'Active'"}
	const rest = "?$filter=healthStatus%20eq%20'Active'&$skiptoken=a%2Bb"
	for _, link := range []string{"/api/machines" + rest, "https://attacker.example/api/machines" + rest} { // the host is never asked
		c := listing(t, func(base string) string {
			if strings.HasPrefix(link, "/") {
				return base + link
			}
			return link
		})
		ids := ""
		for m, err := range c.AllMachines(t.Context(), page) {
			if err != nil {
				t.Fatal(err)
			}
			ids += m.ID
		}
		if ids != "123" {
			t.Errorf("ids %s, want 123", ids)
		}
		for m, err := range c.AllMachines(t.Context(), page) { // one that stops early asks for no more
			if err != nil || m.ID != "1" {
				t.Errorf("%s, %v", m.ID, err)
			}
			break
		}
	}
	for _, wrong := range []string{"%zz", "https://attacker.example/?$filter=x", "?$skiptoken=", "?a;b"} {
		c := listing(t, func(string) string { return wrong })
		rows, failed := 0, false
		for _, err := range c.AllMachines(t.Context(), page) {
			if failed = err != nil; !failed {
				rows++
			}
		}
		if rows != 2 || !failed {
			t.Errorf("a next page at %s: %d rows, an error: %t", wrong, rows, failed)
		}
	}
}

// A server whose next page is always the same would hold its caller for ever.
func TestAListThatLeadsInACircleEnds(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"token_type":"Bearer","expires_in":3600,"access_token":"t","value":[{"id":"1"}],"@odata.nextLink":"https://`+r.Host+`/api/machines?$skiptoken=x"}`)
	}))
	t.Cleanup(s.Close)
	if err := each(connect(t, s).AllMachines(t.Context(), client.Page{})); err == nil || !strings.Contains(err.Error(), "does not lead on") {
		t.Errorf("error %v", err)
	}
}
