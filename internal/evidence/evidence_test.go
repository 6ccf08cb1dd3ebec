package evidence

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"swab/internal/audit"
	"swab/internal/canon"
	"swab/internal/catalog"
	"swab/internal/device"
)

// The parts that the packages of these tests are made of.

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return epoch }

// key makes a key from a word, so that packages are the same in every run.
func key(word string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(word))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

type processRow struct {
	PID     int        `json:"process.pid" csv:"PID"`
	Name    string     `json:"process.name" csv:"Name"`
	Args    []string   `json:"process.args,omitzero" csv:"Arguments"`
	Start   time.Time  `json:"process.start,omitzero" csv:"Start (UTC)" dated:"process start"`
	Address netip.Addr `json:"source.ip,omitzero" csv:"Address"`
	Deleted bool       `json:"swab.deleted" csv:"Deleted"`
}

func worker(i int) processRow {
	return processRow{
		PID: i + 1, Name: fmt.Sprintf("worker-%d", i%97), Args: []string{"-n", fmt.Sprint(i * 7919 % 10007)},
		Start: epoch.Add(time.Duration(i) * time.Second), Address: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}),
	}
}

func plan() catalog.Plan {
	return catalog.Plan{Format: catalog.PlanFormat, Profile: "volatile", System: "linux", Items: []catalog.Item{
		{Name: "linux.processes", Version: 1, Folder: "Processes", Tables: []string{"processes"}, Title: "Running processes"},
		{Name: "linux.sockets", Version: 1, Folder: "Network connections", Tables: []string{"listening"}, Title: "Sockets"},
	}}
}

func known(d catalog.Digest) bool { return d == plan().Digest() }

var opening = audit.Opening{Salt: bytes.Repeat([]byte{7}, 32), Hidden: audit.Hidden{Who: "application/1", Name: "soc", Comment: "why"}}

func manifest(k ed25519.PrivateKey) Manifest {
	return Manifest{
		PackageID: "0b0c", ActionID: "action-1", TenantID: "tenant-1", Attempt: 1,
		Device:     DeviceFacts{ID: device.IDOf(public(k)), Name: "host.example", OS: "linux", Arch: "amd64", Key: public(k)},
		Agent:      AgentFacts{Version: "0.1.0"},
		Commitment: opening.Commitment(), Checkpoint: "checkpoint",
		Clock: Clock{Start: canon.FormatTime(epoch), End: canon.FormatTime(epoch.Add(time.Second))},
		View:  map[string]string{"procfs": "own"},
	}
}

// sample is what goes into a package of these tests.
type sample struct {
	key    ed25519.PrivateKey
	rows   int                 // of processes
	file   []byte              // an original
	name   string              // its path on the device
	ledger func([]Line) []Line // changes the ledger
	change func(*Manifest)     // changes the rest
	more   func(*Writer)       // adds entries of no item
}

func (s sample) build(t testing.TB) []byte {
	t.Helper()
	if s.key == nil {
		s.key = key("device")
	}
	if s.name == "" {
		s.name = "/etc/passwd"
	}
	var out bytes.Buffer
	w := NewWriter(&out, clock)
	table := w.Table("linux.processes", "Processes/processes", processRow{})
	for i := range s.rows {
		if err := table.Append(worker(i)); err != nil {
			t.Fatal(err)
		}
	}
	processes, err := table.Close()
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := w.Table("linux.sockets", "Network connections/listening", processRow{}).Close()
	if err != nil {
		t.Fatal(err)
	}
	mtime := "2024-02-29T23:59:59.123456789Z"
	source := &Source{Path: s.name, Size: int64(len(s.file)), MTime: &mtime}
	if !utf8.ValidString(s.name) {
		source.Raw = []byte(s.name)
	}
	f := w.File(Entry{
		Path: OriginalPath("linux", s.name), Kind: KindOriginal, Item: "linux.processes", Method: "open", Source: source,
	})
	if _, err := f.Write(s.file); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if s.more != nil {
		s.more(w)
	}
	m := manifest(s.key)
	m.Ledger = []Line{
		{Item: "linux.processes", Outcome: Collected, Source: []string{"/proc"}, Rows: processes.Rows,
			Bytes: processes.Bytes + f.Entry().Size, Entries: append(processes.Entries, f.Entry().Path)},
		{Item: "linux.sockets", Outcome: Denied, Cause: "permission denied", Code: 13, Bytes: sockets.Bytes, Entries: sockets.Entries},
	}
	if s.ledger != nil {
		m.Ledger = s.ledger(m.Ledger)
	}
	if s.change != nil {
		s.change(&m)
	}
	if err := w.Finish(m, plan(), s.key); err != nil {
		t.Fatal(err)
	}
	if w.Bytes() != int64(out.Len()) {
		t.Errorf("Bytes() = %d, want %d", w.Bytes(), out.Len())
	}
	return out.Bytes()
}

// check checks a package, in chunks of a size that divides nothing.
func check(t testing.TB, pkg []byte) *Report {
	t.Helper()
	c := NewChecker(DefaultLimits())
	for rest := pkg; len(rest) > 0; {
		n := min(len(rest), 4099)
		if _, err := c.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	return c.Close()
}

func receiptOf(r *Report, k ed25519.PrivateKey) []byte {
	rec := Receipt{
		SHA256: r.SHA256, Size: r.Size, Tenant: "tenant-1", Device: r.Manifest.Device.ID, Key: r.Signer, Action: "action-1",
		Attempt: 1, Plan: plan().Digest(), Time: canon.FormatTime(epoch), Requestor: "soc", Comment: "why",
		Opening: opening, Leaf: strings.Repeat("0", 64),
	}
	b, err := SignReceipt(rec, k)
	if err != nil {
		panic(err)
	}
	return b
}

func TestWholePackageIsAuthentic(t *testing.T) {
	for _, rows := range []int{0, 3, 40_000} {
		pkg := sample{rows: rows, file: bytes.Repeat([]byte("root:x:0:0:\n"), 200_000)}.build(t)
		r := check(t, pkg)
		if r.Class != Intact {
			t.Fatalf("%d rows: class %s: %v", rows, r.Class, r.Flaws)
		}
		trust := Trust{PlanKnown: known}
		if v := r.Judge(trust); v.Class != Intact || v.Exit != 0 {
			t.Errorf("without trust: %+v", v)
		}
		trust.Device = device.IDOf(public(key("device")))
		if v := r.Judge(trust); v.Class != Authentic || v.Exit != 0 {
			t.Errorf("with the device's id: %+v", v)
		}
		trust = Trust{PlanKnown: known, ReceiptKeys: []ed25519.PublicKey{public(key("server"))}, Receipt: receiptOf(r, key("server"))}
		if v := r.Judge(trust); v.Class != Authentic {
			t.Errorf("with a receipt: %+v", v)
		}
		file := CheckFile(bytes.NewReader(pkg), int64(len(pkg)), DefaultLimits())
		if file.Class != Intact || file.SHA256 != r.SHA256 || file.Size != r.Size {
			t.Errorf("CheckFile: %s %v", file.Class, file.Flaws)
		}
	}
}
