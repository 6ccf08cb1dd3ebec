package audit

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"swab/internal/canon"
)

// Act is what was done. The list is closed; a reader that meets an act it does
// not know shows it and goes on.
type Act string

// The acts.
const (
	ActStart   Act = "log.start"       // the first entry of each log; Object: the tenant
	ActEnrol   Act = "device.enrol"    // a device joined, or its key was refused though the token holds
	ActCollect Act = "action.collect"  // a collection was asked for; what a device obeys
	ActCancel  Act = "action.cancel"   // and called off
	ActAttempt Act = "action.attempt"  // an attempt beyond the first began; Detail: its number
	ActSeal    Act = "action.seal"     // a verified package was sealed; Detail: its SHA-256
	ActFail    Act = "action.fail"     // an action failed; Detail: the code of the reason
	ActTimeOut Act = "action.timeout"  // an action ran out of time
	ActLink    Act = "package.link"    // a link to a package was given out
	ActPartial Act = "package.partial" // what a dead attempt delivered was read; Detail: its number
	ActDenied  Act = "access.denied"   // 401s of one address in one minute; Detail: how many
	ActLimited Act = "access.limited"  // 429s of one caller in one minute; Detail: how many
	ActRefused Act = "access.refused"  // 403s of one caller in one minute beyond those with entries of their own; Detail: how many
	ActToken   Act = "access.token"    // access tokens that one application got in one minute; Detail: how many
	ActRebase  Act = "log.rebase"      // the log was restored from a backup
	ActKey     Act = "key.make"        // a server key was made or succeeded; Object: its id, Detail: its purpose
	// ActWithdrawKey is as ActKey, and nothing that the keys of the purpose before
	// it signed holds any more.
	ActWithdrawKey Act = "key.withdraw"

	ActApp  Act = "app.create" // an application was made; Object: its id, Detail: what it may do
	ActRead Act = "audit.read" // the log was read by a person or program

	// Reads of these are no entries; only a refused one is.
	ActReadAction     Act = "action.read"
	ActReadDevice     Act = "device.read"
	ActReadEnrollment Act = "enrollment.read"
	ActReadApp        Act = "app.read"
	ActReadTenant     Act = "tenant.read"
	ActReadKey        Act = "key.read"
	ActForeign        Act = "device.foreign" // a device named an action or upload that is not its own
	ActTwice          Act = "device.twice"   // two live agents hold one device's key

	ActOther        Act = "action.other"  // an action was asked for that is not done here; always refused
	ActUpdateDevice Act = "device.update" // people said something of a device; Detail: of what

	ActCreateEnrollment Act = "enrollment.create" // an enrolment token was made; Object: its id
	ActRevokeEnrollment Act = "enrollment.revoke" // an enrolment token was revoked; Object: its id
	ActRevokeDevice     Act = "device.revoke"     // a device was revoked; Object: its id

	// Object: the device.
	ActRenameDevice  Act = "device.rename"  // people gave it another name, or took theirs back
	ActRetireDevice  Act = "device.retire"  // it is expected to be gone
	ActRestoreDevice Act = "device.restore" // it no longer is
	ActAskDeviceKey  Act = "device.key.ask" // it is to make itself another key
	ActDeviceKey     Act = "device.key"     // and it did, or may not; Detail: the key's number

	// What an application may prove itself by. Object: the application, Detail: the
	// credential's id.
	ActRevokeApp         Act = "app.revoke" // and all of it is worth nothing any more; no Detail
	ActAddSecret         Act = "app.secret.add"
	ActRemoveSecret      Act = "app.secret.remove"
	ActAddCertificate    Act = "app.certificate.add"
	ActRemoveCertificate Act = "app.certificate.remove"

	// People and who may do what. Object: the id of the user, user group, role,
	// device group or issuer; the hidden comment has the Changes.
	ActReadUser          Act = "user.read" // this and the other reads: only a refused one is an entry
	ActCreateUser        Act = "user.create"
	ActChangeUser        Act = "user.change"
	ActDisableUser       Act = "user.disable"
	ActEnableUser        Act = "user.enable"
	ActResetPassword     Act = "user.password.reset" // by somebody else
	ActResetTOTP         Act = "user.totp.reset"
	ActRevokeSessions    Act = "user.sessions.revoke" // Detail: how many
	ActReadUserGroup     Act = "usergroup.read"
	ActCreateUserGroup   Act = "usergroup.create"
	ActChangeUserGroup   Act = "usergroup.change"
	ActDeleteUserGroup   Act = "usergroup.delete"
	ActReadRole          Act = "role.read"
	ActCreateRole        Act = "role.create"
	ActChangeRole        Act = "role.change"
	ActDeleteRole        Act = "role.delete"
	ActReadDeviceGroup   Act = "devicegroup.read"
	ActCreateDeviceGroup Act = "devicegroup.create"
	ActChangeDeviceGroup Act = "devicegroup.change"
	ActOrderDeviceGroups Act = "devicegroup.order" // Object: the tenant
	ActDeleteDeviceGroup Act = "devicegroup.delete"
	ActReadIssuer        Act = "issuer.read"
	ActCreateIssuer      Act = "issuer.create"
	ActChangeIssuer      Act = "issuer.change"
	ActRevokeIssuer      Act = "issuer.revoke"
	ActChangeApp         Act = "app.change" // an application's name, permissions or addresses

	// Sign-in of people. Object: the user.
	ActSignIn         Act = "signin.done"    // Detail: by what (pwd,otp,mfa), and the application's client id where it was to one
	ActRefuseSignIn   Act = "signin.refused" // a wrong password or code; Detail: the fault code, or how many there were more in that minute
	ActEndSignIn      Act = "signin.end"     // Detail: the session's id, or all
	ActReuse          Act = "signin.reuse"   // a code or refresh token came twice; Object: the session that was ended for it
	ActChangePassword Act = "user.password.change"
	ActEnrolTOTP      Act = "user.totp.enrol"
	ActRemoveTOTP     Act = "user.totp.remove"
	ActRecovery       Act = "user.recovery.make" // new recovery codes

	// How long packages are kept. Object: the tenant, the hold, and of an expiry the
	// action. The hidden comment of the first three has the Changes.
	ActChangeRetention Act = "retention.change"
	ActAddHold         Act = "hold.add"
	ActRemoveHold      Act = "hold.remove"
	ActExpire          Act = "package.expire" // a package's bytes, or an attempt's, were deleted; Detail: the rule
	ActReadRetention   Act = "retention.read" // this and the next: only a refused one is an entry
	ActReadHold        Act = "hold.read"

	// Object: the tenant. A revocation is in the tenant's own log as well.
	ActCreateTenant Act = "tenant.create"
	ActRevokeTenant Act = "tenant.revoke"
)

// Results of an act.
const (
	Done    = "done"
	Refused = "refused" // Detail: the fault code
)

// Leaf is the open part of an entry, in canonical JSON: what the tree hashes and
// a device may see.
type Leaf struct {
	V          int    `json:"v"`    // LeafVersion
	Time       string `json:"time"` // canon.TimeFormat
	Act        Act    `json:"act"`
	Object     string `json:"object"`  // the id of what was acted on: an action, a device, a tenant, a key, an enrolment token
	Device     string `json:"device"`  // the device concerned, or ""
	Profile    string `json:"profile"` // digest of the plan asked for, or ""
	Result     string `json:"result"`  // Done or Refused
	Detail     string `json:"detail"`  // see the acts; never what a person typed
	Commitment string `json:"commitment"`
}

// LeafVersion is the version of Leaf.
const LeafVersion = 1

// Hidden is the part of an entry that devices never see.
type Hidden struct {
	Who         string `json:"who"`         // kind and id of the caller: "application/…", "device/…", "server"
	Name        string `json:"name"`        // the caller's display name
	From        string `json:"from"`        // the caller's address
	Correlation string `json:"correlation"` // the request's id
	Comment     string `json:"comment"`     // as typed, or the Changes of an administrative act
}

// Opening is what opens a commitment.
type Opening struct {
	Salt   []byte `json:"salt"` // 32 random bytes
	Hidden Hidden `json:"hidden"`
}

// Commitment is "sha256:" and the hex SHA-256 over the salt and the canonical
// JSON of the hidden part.
func (o Opening) Commitment() string {
	hidden, err := canon.Marshal(o.Hidden)
	if err != nil {
		panic("audit: plain strings can't be encoded: " + err.Error())
	}
	h := sha256.New()
	h.Write(o.Salt)
	h.Write(hidden)
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Entry is a leaf with the opening of its commitment, as the store keeps it.
type Entry struct {
	Leaf    Leaf
	Opening Opening
}

// NewEntry completes a leaf: its version, its time, and a commitment to hidden
// under a fresh salt.
func NewEntry(now time.Time, leaf Leaf, hidden Hidden) Entry {
	o := Opening{Salt: make([]byte, 32), Hidden: hidden}
	rand.Read(o.Salt) // never fails (crypto/rand)
	leaf.V, leaf.Time, leaf.Commitment = LeafVersion, canon.FormatTime(now), o.Commitment()
	return Entry{Leaf: leaf, Opening: o}
}

// Clip bounds and cleans what a caller named, for a leaf or a message: at most
// 128 characters, none of them a control character.
func Clip(s string) string { return clip(s, 128) }

// clip is Clip with another bound.
func clip(s string, most int) string {
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > most {
		s = string(r[:most])
	}
	return s
}

// Bytes is the leaf in the form that the tree hashes.
func (l Leaf) Bytes() []byte {
	b, err := canon.Marshal(l)
	if err != nil {
		panic("audit: plain strings can't be encoded: " + err.Error())
	}
	return b
}

// MaxLeaf bounds a leaf: 4 KiB.
const MaxLeaf = 4 << 10

// ParseLeaf reads a leaf in its one form.
func ParseLeaf(data []byte) (Leaf, error) {
	var l Leaf
	if len(data) > MaxLeaf {
		return l, fmt.Errorf("audit leaf has over %d bytes", MaxLeaf)
	}
	if err := canon.Unmarshal(data, &l); err != nil {
		return l, fmt.Errorf("audit leaf: %w", err)
	}
	if l.V != LeafVersion {
		return l, fmt.Errorf("audit leaf has version %d, this program knows %d", l.V, LeafVersion)
	}
	if _, err := canon.ParseTime(l.Time); err != nil {
		return l, fmt.Errorf("audit leaf: %w", err)
	}
	return l, nil
}

// Logged is an entry with its place in the log, as the store gives it back.
type Logged struct {
	Index   int64  // -1 where a search finds it before it has its leaf
	Leaf    []byte // Leaf.Bytes
	Hash    []byte // the leaf's, as the tree keeps it, apart from the leaf; none where the tree has lost it
	Opening Opening
}
