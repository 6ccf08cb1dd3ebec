package evidence

import (
	"swab/internal/audit"
	"swab/internal/catalog"
	"swab/internal/device"
)

// Format is the version of the package format that this program writes.
const Format = "swab.package/1"

// Outcome is what came of an item, or of one original.
type Outcome string

// The outcomes. absent and skipped come only from code that looked. Collected is
// not "all there was": the item was read, and each single thing of it that could not
// be is in the line's Missing, with Cause saying so. Only without either is it whole
// ([Line.Whole]).
const (
	Collected Outcome = "collected" // it was read, but for what Missing names
	Absent    Outcome = "absent"    // the source is not on this device
	Denied    Outcome = "denied"    // it is, and may not be read
	Truncated Outcome = "truncated" // a bound cut it
	TimedOut  Outcome = "timed-out" // its time ran out
	Changed   Outcome = "changed"   // it changed while it was read
	Skipped   Outcome = "skipped"   // a need of the collector is not met, or it failed
	Excluded  Outcome = "excluded"  // policy forbids it
)

// Manifest is the account of a package: manifest.json, in canonical form. Times
// are RFC 3339 in UTC, or null where there is none.
type Manifest struct {
	Format     string            `json:"format"` // Format
	PackageID  string            `json:"packageId"`
	ActionID   string            `json:"actionId"` // "" when collected without a server
	TenantID   string            `json:"tenantId"`
	Attempt    int               `json:"attempt"`
	Device     DeviceFacts       `json:"device"`
	Agent      AgentFacts        `json:"agent"`
	Profile    Profile           `json:"profile"`
	Commitment string            `json:"commitment"` // to who asked and why; "" without a server
	Checkpoint string            `json:"checkpoint"` // of the audit log, as the device checked it; "" without a server
	Clock      Clock             `json:"clock"`
	Bounds     Bounds            `json:"bounds"`
	View       map[string]string `json:"view"` // how the host was seen: procfs, namespaces, privileges, what was missing
	Ledger     []Line            `json:"ledger"`
	Entries    []Entry           `json:"entries"`
}

// DeviceFacts is the device, with the keys that prove its id.
type DeviceFacts struct {
	ID         device.ID `json:"id"`
	Name       string    `json:"name"`
	OS         string    `json:"os"` // GOOS
	Platform   string    `json:"platform"`
	Version    string    `json:"version"`
	Arch       string    `json:"arch"`
	BootID     string    `json:"bootId"`
	Key        []byte    `json:"key"`        // the enrolment key, whose hash is the id
	Succession [][]byte  `json:"succession"` // statements from it to the key that signs
}

// AgentFacts is the program that collected.
type AgentFacts struct {
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
}

// Profile is what was asked for.
type Profile struct {
	Name   string         `json:"name"`
	Digest catalog.Digest `json:"digest"` // SHA-256 of plan.json
}

// Clock is when it was, by the device.
type Clock struct {
	Start           string  `json:"start"`
	End             string  `json:"end"`
	BoottimeStart   float64 `json:"boottimeStart"`   // seconds
	NTPSynchronised *bool   `json:"ntpSynchronised"` // null where the system does not say
	ServerOffsetMs  *int64  `json:"serverOffsetMs"`  // server minus device; null without a server
}

// Bounds are the bounds in force.
type Bounds struct {
	MemoryBytes     int64 `json:"memoryBytes"`
	PackageBytes    int64 `json:"packageBytes"`
	DeadlineSeconds int64 `json:"deadlineSeconds"`
}

// Line is the ledger's line of one item of the plan.
type Line struct {
	Item       string   `json:"item"`
	Stage      int      `json:"stage"`
	Outcome    Outcome  `json:"outcome"`
	Cause      string   `json:"cause"`  // in words; "" only when collected whole
	Code       int      `json:"code"`   // errno or NTSTATUS; 0 where there is none
	Source     []string `json:"source"` // what was read
	Rows       int64    `json:"rows"`
	Bytes      int64    `json:"bytes"`   // uncompressed, of all its entries
	StartMs    int64    `json:"startMs"` // since the package's start
	TakenMs    int64    `json:"takenMs"` // until its volatile state was in memory
	DurationMs int64    `json:"durationMs"`
	Entries    []string `json:"entries"` // paths, in order; parts of a table follow one another
	Left       Left     `json:"left"`    // what a bound left out
	Missing    []Miss   `json:"missing"` // single things that could not be read, at most MaxMissing
	Notes      []string `json:"notes"`
}

// Whole says whether all that there was is in the package.
func (l Line) Whole() bool {
	return l.Outcome == Collected && len(l.Missing) == 0 && l.Left == Left{}
}

// Left is what a bound left out.
type Left struct {
	Rows  int64 `json:"rows"`
	Bytes int64 `json:"bytes"`
}

// Miss is one thing that could not be read, while the item went on.
type Miss struct {
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	Cause   string  `json:"cause"`
	Code    int     `json:"code"`
	Times   int     `json:"times"` // how often: the same thing of several objects is one line
}

// MaxMissing bounds the misses of one ledger line.
const MaxMissing = 256

// Kind is what an entry is.
type Kind string

// The kinds.
const (
	KindText     Kind = "text"     // README.txt, notes for people
	KindTable    Kind = "table"    // .jsonl or .csv
	KindOriginal Kind = "original" // bytes of the device
	KindReport   Kind = "report"   // the summary
	KindPlan     Kind = "plan"     // plan.json
	KindList     Kind = "list"     // entries.jsonl
)

// Entry is the manifest's account of one entry of the ZIP, manifest.json and
// manifest.dsse aside.
type Entry struct {
	Path    string     `json:"path"`
	SHA256  string     `json:"sha256"` // hex, of the bytes in the ZIP
	Size    int64      `json:"size"`   // uncompressed
	Kind    Kind       `json:"kind"`
	Item    string     `json:"item"`   // "" where it belongs to none
	Part    int        `json:"part"`   // 1 for the first or only part of a table
	Rows    int64      `json:"rows"`   // of a table
	Source  *Source    `json:"source"` // of an original
	Method  string     `json:"method"` // of an original: open, open-link, procfs-exe, procfs-fd
	Outcome Outcome    `json:"outcome"`
	Ranges  [][2]int64 `json:"ranges"` // of an original: the byte ranges kept; empty for the whole
}

// Source is what stat said of an original before it was read.
type Source struct {
	Path   string  `json:"path"`   // as UTF-8
	Raw    []byte  `json:"raw"`    // the path's bytes, where it is not valid UTF-8; else null
	Device string  `json:"device"` // major:minor
	Inode  uint64  `json:"inode"`
	Mode   string  `json:"mode"` // octal with type bits
	UID    uint32  `json:"uid"`
	GID    uint32  `json:"gid"`
	Links  uint64  `json:"links"`
	Size   int64   `json:"size"`
	MTime  *string `json:"mtime"` // RFC 3339 with nanoseconds
	ATime  *string `json:"atime"`
	CTime  *string `json:"ctime"`
	BTime  *string `json:"btime"`
}

// Statement is what manifest.dsse signs: an in-toto statement (v1) over
// manifest.json.
type Statement struct {
	Type          string    `json:"_type"` // StatementType
	Subject       []Subject `json:"subject"`
	PredicateType string    `json:"predicateType"` // PredicateType
	Predicate     Predicate `json:"predicate"`
}

// Subject is a file by name and hash.
type Subject struct {
	Name   string        `json:"name"`
	Digest SubjectDigest `json:"digest"`
}

// SubjectDigest is a file's hash.
type SubjectDigest struct {
	SHA256 string `json:"sha256"`
}

// Predicate is what a device states of a package beside the manifest's hash.
type Predicate struct {
	PackageID  string         `json:"packageId"`
	ActionID   string         `json:"actionId"`
	Attempt    int            `json:"attempt"`
	Device     device.ID      `json:"device"`
	Plan       catalog.Digest `json:"plan"`
	Checkpoint string         `json:"checkpoint"`
	Commitment string         `json:"commitment"`
}

// The types of envelopes and statements.
const (
	PayloadType   = "application/vnd.in-toto+json"
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateType = "https://swab.invalid/package/v1"
	ReceiptType   = "application/vnd.swab.receipt+json"
	ReceiptFormat = "swab.receipt/1"
)

// Receipt is the server's statement over a whole package. Its DSSE envelope, of
// type ReceiptType and signed by the receipt key, lies beside the package as
// NAME.zip.receipt.
type Receipt struct {
	Format    string         `json:"format"` // ReceiptFormat
	SHA256    string         `json:"sha256"` // hex, of the ZIP
	Size      int64          `json:"size"`
	Tenant    string         `json:"tenant"`
	Device    device.ID      `json:"device"`
	Key       []byte         `json:"key"` // the device key that signed the manifest
	Action    string         `json:"action"`
	Attempt   int            `json:"attempt"`
	Plan      catalog.Digest `json:"plan"`
	Time      string         `json:"time"` // of the seal
	Requestor string         `json:"requestor"`
	Comment   string         `json:"comment"`
	Opening   audit.Opening  `json:"opening"` // of the manifest's commitment
	Leaf      string         `json:"leaf"`    // hex SHA-256 of the audit leaf's bytes
}
