package evidence

import (
	"crypto/ed25519"
	"fmt"
	"strconv"
	"strings"

	"swab/internal/catalog"
	"swab/internal/device"
)

// Class is what a package is found to be.
type Class string

// The classes. A [Report] alone knows no Authentic: that takes trust from elsewhere.
const (
	Authentic  Class = "authentic"  // intact, and of the device that the verifier or a trusted receipt names
	Intact     Class = "intact"     // every byte accounted for; who signed it is unproven
	Altered    Class = "altered"    // something is not as it was signed
	Incomplete Class = "incomplete" // cut off: what is there may be good, and nothing proves it
	Unreadable Class = "unreadable" // no package, one of another version, or beyond the limits
)

// Exit is the exit code of swab verify.
func (c Class) Exit() int {
	switch c {
	case Authentic, Intact:
		return 0
	case Altered:
		return 1
	case Incomplete:
		return 2
	}
	return 4
}

// Code names a kind of flaw.
type Code string

// The codes.
const (
	CodeForm      Code = "form"      // not a package
	CodeVersion   Code = "version"   // a package of another version
	CodeBound     Code = "bound"     // beyond what a reader takes on
	CodeCut       Code = "cut-off"   // it ends too early
	CodeStructure Code = "structure" // the ZIP's structure is not a package's
	CodeHeader    Code = "header"    // a header says something else than the writer would
	CodeName      Code = "name"      // a name is unsafe, doubled or clashes
	CodeChecksum  Code = "checksum"  // an entry's CRC or size is not that of its data
	CodeDirectory Code = "directory" // the central directory is not that of the entries
	CodeManifest  Code = "manifest"  // manifest.json is not in its form
	CodeSignature Code = "signature" // manifest.dsse does not sign it, or states something else
	CodeDevice    Code = "device"    // the keys do not prove the device's id
	CodeHash      Code = "hash"      // an entry is not the one in the manifest
	CodeMissing   Code = "missing"   // the manifest lists it, the ZIP has it not
	CodeExtra     Code = "extra"     // the other way round
	CodePlan      Code = "plan"      // plan.json is not the one the manifest names
	CodeLedger    Code = "ledger"    // an item of the plan is not accounted for
	CodeReceipt   Code = "receipt"   // the receipt is not of this package, or of no trusted key
	CodeTrust     Code = "trust"     // the package is of another device, or by a plan that nobody here knows
)

// Flaw is something wrong with a package. It serves as the error of what can't
// be read on.
type Flaw struct {
	Code Code   `json:"code"`
	Path string `json:"path"` // the entry's name as the ZIP has it; "" where it is the whole
	Text string `json:"text"` // without hostile characters
}

func (f Flaw) Error() string {
	if f.Path == "" {
		return f.Text
	}
	return "entry " + quote(f.Path) + ": " + f.Text
}

func (f Flaw) class() Class {
	switch f.Code {
	case CodeForm, CodeVersion, CodeBound:
		return Unreadable
	case CodeCut:
		return Incomplete
	}
	return Altered
}

// quote is a name from a package as it may stand in a sentence: cut, and with
// nothing in it that a terminal obeys.
func quote(name string) string {
	const most = 200
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "…"
	}
	return strconv.QuoteToGraphic(name)
}

// Report is what was found in a package, without trust in anything from outside.
type Report struct {
	SHA256   string            `json:"sha256"` // hex, of the whole file
	Size     int64             `json:"size"`
	Manifest *Manifest         `json:"-"`      // nil where there is none in its form
	Plan     *catalog.Plan     `json:"-"`      // likewise
	Signer   ed25519.PublicKey `json:"signer"` // who signed the manifest; nil where no signature holds
	Entries  []Found           `json:"entries"`
	Flaws    []Flaw            `json:"flaws"` // in the order in which they were found, at most MaxFlaws
	Class    Class             `json:"class"` // Intact where there is no flaw
}

// MaxFlaws bounds a report's flaws.
const MaxFlaws = 100

// Found is an entry as the ZIP has it.
type Found struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"` // hex; "" where it was not read to its end
	Size   int64  `json:"size"`
	Packed int64  `json:"packed"` // its length in the ZIP
	Offset int64  `json:"offset"` // of its local header
	Method uint16 `json:"method"` // 0 Store, 8 Deflate
	data   int64  // offset of its data
	time   int32  // of modification, Unix seconds
}

// Trust is what a verifier knows from elsewhere.
type Trust struct {
	Device      device.ID                 // the device it must be of; "" where not known
	ReceiptKeys []ed25519.PublicKey       // of servers that are trusted
	Receipt     []byte                    // the receipt that came with the package; nil where there is none
	PlanKnown   func(catalog.Digest) bool // is this a plan that was ever released; nil: ask the catalogue
}

// Verdict is what swab verify says.
type Verdict struct {
	Class   Class    `json:"class"`
	Exit    int      `json:"exit"`
	Code    Code     `json:"code"`    // of the first thing that is wrong; "" where nothing is
	Text    string   `json:"text"`    // one sentence, which says it
	Receipt *Receipt `json:"receipt"` // the trusted receipt that holds; nil where there is none
}

// Judge holds the report against what the verifier trusts.
func (r *Report) Judge(t Trust) Verdict {
	if r.Class != Intact {
		return verdict(r.Class, r.Flaws[0].Code, r.Flaws[0].Error())
	}
	var held *Receipt
	if t.Receipt != nil {
		rec, proven, err := r.checkReceipt(t)
		if err != nil {
			return verdict(Altered, CodeReceipt, clean(err))
		}
		if proven {
			held = &rec
		}
	}
	m := r.Manifest
	if t.Device != "" && t.Device != m.Device.ID {
		return verdict(Altered, CodeTrust, fmt.Sprintf("the package is of device %s, not of %s", m.Device.ID, t.Device))
	}
	if held == nil && !t.knows(m.Profile.Digest) {
		return verdict(Unreadable, CodeTrust, fmt.Sprintf("its plan %s is of no release that this program knows; "+
			"a newer release, or its receipt with the server's key, can tell whether it is complete", m.Profile.Digest))
	}
	v := Verdict{Class: Authentic, Receipt: held}
	switch {
	case held != nil:
		v.Text = fmt.Sprintf("authentic: every byte is as device %s signed it, and as the server's receipt of %s says", m.Device.ID, held.Time)
	case t.Device != "":
		v.Text = fmt.Sprintf("authentic: every entry is as device %s signed it", m.Device.ID)
	default:
		v.Class = Intact
		v.Text = fmt.Sprintf("intact, signer unproven: every entry is as the key of device %s signed it, and nothing here proves whose key that is", m.Device.ID)
	}
	v.Exit = v.Class.Exit()
	return v
}

func verdict(c Class, code Code, text string) Verdict {
	return Verdict{Class: c, Exit: c.Exit(), Code: code, Text: string(c) + ": " + text}
}

func (t Trust) knows(d catalog.Digest) bool {
	if t.PlanKnown != nil {
		return t.PlanKnown(d)
	}
	_, err := catalog.Known(d)
	return err == nil
}
