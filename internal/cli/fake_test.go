package cli_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"swab/internal/audit"
	"swab/internal/canon"
	"swab/internal/catalog"
	"swab/internal/device"
	"swab/internal/evidence"
)

// What the scripts are about.
const (
	tenant   = "6f1c2a54-9b0e-4b8e-9a55-0d2f6f3a7c11"
	actionID = "019b4a2e-7c00-7000-8000-000000000001"
	tokenID  = "3f0c9f52-6a50-4a53-93cc-7f4c1f4f0001"
	hostile  = "web1\u202etxt.\x1b[2Jexample"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// key makes a key from a word, so that ids and packages are the same in every run.
func key(word string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(word))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func deviceID() device.ID { return device.IDOf(public(key("device"))) }

// ledger is a real audit log in memory.
type ledger struct {
	entries []audit.Entry
	hashes  []tlog.Hash
	lie     func(i int, leaf []byte, o *audit.Opening) []byte // changes what is shown of an entry
	deep    bool                                              // the lie is in the tree's hashes too
}

func (l *ledger) read(at []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(at))
	for i, n := range at {
		out[i] = l.hashes[n]
	}
	return out, nil
}

func (l *ledger) add(leaf audit.Leaf, h audit.Hidden) audit.Entry {
	leaf.V, leaf.Time, leaf.Result = audit.LeafVersion, canon.FormatTime(epoch), audit.Done
	salt := sha256.Sum256([]byte{byte(len(l.entries))})
	e := audit.Entry{Leaf: leaf, Opening: audit.Opening{Salt: salt[:], Hidden: h}}
	e.Leaf.Commitment = e.Opening.Commitment()
	hashes, err := audit.Extend(int64(len(l.entries)), e.Leaf.Bytes(), tlog.HashReaderFunc(l.read))
	if err != nil {
		panic(err)
	}
	l.hashes, l.entries = append(l.hashes, hashes...), append(l.entries, e)
	return e
}

func (l *ledger) checkpoint(k ed25519.PrivateKey) string {
	head, err := audit.HeadOf(int64(len(l.entries)), tlog.HashReaderFunc(l.read))
	if err != nil {
		panic(err)
	}
	note, err := head.Sign(tenant, k)
	if err != nil {
		panic(err)
	}
	return note
}

// fixture is one request, its package and its receipt, and the log that has them.
type fixture struct {
	log     *ledger
	pkg     []byte
	receipt []byte
}

type shown struct {
	PID  int    `json:"process.pid" csv:"PID"`
	Name string `json:"process.name" csv:"Name"`
}

func newFixture() *fixture {
	f := &fixture{log: &ledger{}}
	f.log.add(audit.Leaf{Act: audit.ActStart, Object: tenant}, audit.Hidden{Who: "server"})
	f.log.add(audit.Leaf{Act: audit.ActEnrol, Object: string(deviceID()), Device: string(deviceID())}, audit.Hidden{Who: "device/" + string(deviceID())})
	asked := f.log.add(audit.Leaf{Act: audit.ActCollect, Object: actionID, Device: string(deviceID())},
		audit.Hidden{Who: "application/soc", Name: "soc", Comment: "alert 1234"})
	plan, _ := catalog.Current().Plan(catalog.DefaultProfile, device.Linux)
	f.pkg = packageOf(plan, asked.Opening.Commitment(), f.log.checkpoint(key("log")))
	report := evidence.CheckFile(bytes.NewReader(f.pkg), int64(len(f.pkg)), evidence.DefaultLimits())
	leaf := sha256.Sum256(asked.Leaf.Bytes())
	receipt, err := evidence.SignReceipt(evidence.Receipt{
		SHA256: report.SHA256, Size: report.Size, Tenant: tenant, Device: deviceID(), Key: report.Signer, Action: actionID, Attempt: 1,
		Plan: plan.Digest(), Time: canon.FormatTime(epoch), Requestor: "soc", Comment: "alert 1234", Opening: asked.Opening, Leaf: hex.EncodeToString(leaf[:]),
	}, key("receipt"))
	if err != nil {
		panic(err)
	}
	f.receipt = receipt
	f.log.add(audit.Leaf{Act: audit.ActSeal, Object: actionID, Device: string(deviceID()), Detail: "sha256:" + report.SHA256}, audit.Hidden{Who: "server"})
	return f
}

// packageOf writes a whole package: each table of the plan has a row or two.
func packageOf(plan catalog.Plan, commitment, checkpoint string) []byte {
	var out bytes.Buffer
	k := key("device")
	w := evidence.NewWriter(&out, func() time.Time { return epoch })
	m := evidence.Manifest{
		PackageID: "p1", ActionID: actionID, TenantID: tenant, Attempt: 1,
		Device:     evidence.DeviceFacts{ID: deviceID(), Name: hostile, OS: device.Linux, Platform: "Debian", Version: "12.11", Arch: "amd64", Key: public(k)},
		Agent:      evidence.AgentFacts{Version: "0.1.0"},
		Commitment: commitment, Checkpoint: checkpoint,
		Clock: evidence.Clock{Start: canon.FormatTime(epoch), End: canon.FormatTime(epoch.Add(time.Second))},
		View:  map[string]string{"procfs": "own"},
	}
	for i, item := range plan.Items {
		line := evidence.Line{Item: item.Name, Stage: int(item.Stage), Outcome: evidence.Collected, Source: []string{"/proc"}}
		if i == 3 {
			line.Outcome, line.Cause, line.Code = evidence.Denied, "permission denied", 13
		}
		for _, name := range item.Tables {
			t := w.Table(item.Name, item.Path(name), shown{})
			must(t.Append(shown{1, "init"}))
			if name == "processes" {
				must(t.Append(shown{666, "evil\x1b]0;x\a\u202ecod.exe"}))
				must(t.Append(shown{667, "=cmd|' /C calc'!A0"}))
			}
			res, err := t.Close()
			must(err)
			line.Rows += res.Rows
			line.Bytes += res.Bytes
			line.Entries = append(line.Entries, res.Entries...)
		}
		m.Ledger = append(m.Ledger, line)
	}
	must(w.Finish(m, plan, k))
	return out.Bytes()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// service is a small real server of the contract's answers that the commands
// ask for: TLS, tokens, one device and one action.
type service struct {
	kept keeping
	*httptest.Server
	f *fixture

	mu     sync.Mutex
	status string // of the action; "" before it was asked for
	polls  int    // until it is Succeeded

	revoked bool     // the enrolment token
	tags    []string // of the device
	value   string   // of the device; "" for Normal
	office  office

	interrupt func() // ends the command that asks for the role Interrupted
}

func startService(f *fixture) *service {
	s := &service{f: f}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /"+tenant+"/oauth2/v2.0/token", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("client_secret") != "s3cret" && strings.Count(r.FormValue("client_assertion"), ".") != 2 {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client","error_description":"The client secret is not right.","correlation_id":"c-1"}`)
			return
		}
		fmt.Fprint(w, `{"token_type":"Bearer","expires_in":3600,"access_token":"t"}`)
	})
	s.administer(mux)
	s.fleet(mux)
	mux.HandleFunc("POST /api/machines/{id}/collectInvestigationPackage", s.collect)
	mux.HandleFunc("GET /api/machineactions/{id}", s.action)
	mux.HandleFunc("POST /api/machineactions/{id}/cancel", s.cancel)
	mux.HandleFunc("GET /api/machineactions/{id}/getPackageUri", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]string{"value": s.URL + "/packages/p.zip?e=1&s=sig"})
	})
	mux.HandleFunc("GET /packages/p.zip", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.pkg))
	})
	mux.HandleFunc("GET /packages/p.zip.receipt", func(w http.ResponseWriter, _ *http.Request) { w.Write(f.receipt) })
	mux.HandleFunc("GET /api/swab/v1/audit", s.audit)
	s.search(mux)
	mux.HandleFunc("GET /api/admin/v1/enrollments", s.enrollments)
	mux.HandleFunc("POST /api/admin/v1/enrollments/{id}/revoke", s.revoke)
	s.keys(mux)
	s.retention(mux)
	s.Server = httptest.NewTLSServer(mux)
	return s
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	answer(w, map[string]any{"error": map[string]string{"code": code, "message": message, "target": "t-1"}})
}

func (s *service) collect(w http.ResponseWriter, r *http.Request) {
	if id := r.PathValue("id"); id != "web1" && id != string(deviceID()) {
		refuse(w, 404, "ResourceNotFound", "Machine "+id+" was not found")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status == "Pending" || s.status == "InProgress" {
		w.Header().Set("Location", s.URL+"/api/machineactions/"+actionID)
		refuse(w, 400, "ActiveRequestAlreadyExists", "Action is already in progress")
		return
	}
	s.status, s.polls = "Pending", 2
	w.WriteHeader(http.StatusCreated)
	answer(w, s.shown())
}

// shown is the action as the contract has it. s.mu is held.
func (s *service) shown() map[string]any {
	a := map[string]any{
		"id": actionID, "type": "CollectInvestigationPackage", "status": s.status, "machineId": deviceID(), "computerDnsName": "web1",
		"requestor": "soc", "requestorComment": "alert 1234", "requestSource": "PublicApi", "creationDateTimeUtc": canon.FormatTime(epoch),
		"lastUpdateDateTimeUtc": canon.FormatTime(epoch), "lastUpdateTimeUtc": canon.FormatTime(epoch), "errorHResult": 0, "troubleshootInfo": nil,
		"cancellationDateTimeUtc": nil, "cancellationRequestor": nil, "cancellationComment": nil,
	}
	if s.status == "Cancelled" {
		a["cancellationDateTimeUtc"], a["cancellationRequestor"], a["cancellationComment"] = canon.FormatTime(epoch), "soc", "not needed"
	}
	if s.status == "Failed" {
		a["troubleshootInfo"] = "the agent could not read /proc"
	}
	return a
}

func (s *service) action(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.PathValue("id") != actionID || s.status == "" {
		refuse(w, 404, "ResourceNotFound", "Machine action "+r.PathValue("id")+" was not found")
		return
	}
	if s.polls--; s.polls == 0 && s.status == "Pending" {
		s.status = "Succeeded"
	}
	answer(w, s.shown())
}

func (s *service) cancel(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status != "Pending" {
		refuse(w, 400, "BadRequest", "Action "+actionID+" is in state "+s.status+" and can't be cancelled")
		return
	}
	s.status = "Cancelled"
	answer(w, s.shown())
}

// token is the enrolment token as our own contract has it. s.mu is held.
func (s *service) token() map[string]any {
	return map[string]any{"id": tokenID, "name": "first", "created": canon.FormatTime(epoch), "remaining": nil, "expires": nil, "revoked": s.revoked, "tags": []string{}}
}

func (s *service) enrollments(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer(w, map[string]any{"value": []any{s.token(), map[string]any{
		"id": tokenID[:35] + "2", "name": "", "created": nil, "remaining": 4, "expires": canon.FormatTime(epoch), "revoked": false, "tags": []string{"web", hostile},
	}}})
}

func (s *service) revoke(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id := r.PathValue("id"); id != tokenID {
		refuse(w, 404, "ResourceNotFound", "Enrolment token "+id+" was not found")
		return
	}
	s.revoked = true
	answer(w, s.token())
}

// audit shows two entries a page, so that a reader has to turn pages, and keeps
// growing while it is read.
func (s *service) audit(w http.ResponseWriter, r *http.Request) {
	from, _ := strconv.Atoi(r.FormValue("from"))
	l := s.f.log
	if from > 0 {
		l.add(audit.Leaf{Act: audit.ActRead, Object: tenant}, audit.Hidden{Who: "application/soc"})
	}
	var page []any
	for i := from; i < min(from+2, len(l.entries)); i++ {
		leaf, opening := l.entries[i].Leaf.Bytes(), l.entries[i].Opening
		hash := tlog.RecordHash(leaf)
		if l.lie != nil {
			leaf = l.lie(i, leaf, &opening)
		}
		if l.deep {
			hash = tlog.RecordHash(leaf)
		}
		page = append(page, map[string]any{"index": i, "leaf": leaf, "hash": hash[:], "opening": opening})
	}
	answer(w, map[string]any{"checkpoint": l.checkpoint(key("log")), "logKey": public(key("log")), "value": page})
}

// files puts what a server's first start and a download leave into dir.
func (s *service) files(dir string) {
	write := func(name string, data []byte) { must(os.WriteFile(filepath.Join(dir, name), data, 0o600)) }
	write("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	b, err := json.Marshal(map[string]any{
		"apiBase": s.URL, "authority": s.URL + "/" + tenant, "tenantId": tenant, "clientId": "soc", "clientSecret": "s3cret",
		"caFile": filepath.Join(dir, "ca.pem"), "receiptKey": public(key("receipt")), "logKey": public(key("log")),
	})
	must(err)
	write("bootstrap.json", b)
	write("receipt.key", []byte(base64.StdEncoding.EncodeToString(public(key("receipt")))+"\n"))
	write("other.key", []byte(base64.StdEncoding.EncodeToString(public(key("other")))))
	write("good.zip", s.f.pkg)
	write("good.zip.receipt", s.f.receipt)
	write("bare.zip", s.f.pkg)
	flipped := bytes.Clone(s.f.pkg)
	flipped[len(flipped)/2] ^= 1
	write("altered.zip", flipped)
	write("cut.zip", s.f.pkg[:len(s.f.pkg)/2])
	write("noise.zip", []byte("not a package"))
}
