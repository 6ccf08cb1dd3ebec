package signin

import (
	"context"
	"log/slog"
	"time"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/credential"
	"swab/internal/fault"
	"swab/internal/keys"
	"swab/internal/limit"
)

// Lives.
const (
	TicketLife  = 10 * time.Minute    // of what stands between two pages
	BrowserIdle = 8 * time.Hour       // of a browser's session, after its last use
	BrowserLife = 24 * time.Hour      // and in all
	CodeLife    = 2 * time.Minute     // of an authorization code
	DeviceLife  = 15 * time.Minute    // of a device code
	DevicePause = 5 * time.Second     // at least, between two looks at a device code
	RefreshLife = 90 * 24 * time.Hour // of a refresh token that nobody uses
	KnownLife   = 30 * 24 * time.Hour // how long a browser is known

	// Fresh is how long ago people may have proved who they are when they let a
	// device in.
	Fresh = 15 * time.Minute

	// useEvery is how exactly the last use of a browser's session is kept.
	useEvery = 5 * time.Minute
)

// Bounds of what comes from outside, in bytes.
const (
	maxPrincipal = 256
	maxAgent     = 256
	maxNonce     = 512
	maxScope     = 2048
	maxSessions  = 200 // of one person, that are listed
)

// Records is where sign-ins are kept; *store.Store satisfies it. What is not
// there, or another tenant's, is fault.NotFound.
type Records interface {
	auth.Recorder

	// Account returns the person of a user principal name, also one who is
	// disabled, with what they prove themselves by. It does the same work for one
	// who is not there.
	Account(ctx context.Context, tenant, principal string) (auth.Person, auth.Credential, error)
	Person(ctx context.Context, tenant, id string) (auth.Person, error)
	Credential(ctx context.Context, tenant, person string) (auth.Credential, error)

	// GroupNames returns the names of the user groups that a person is in.
	GroupNames(ctx context.Context, tenant, person string) ([]string, error)

	// ChangeCredential changes what a person proves themselves by in one
	// transaction, alone among the changes of it. An error of change leaves
	// everything as it was, and comes back as it is.
	ChangeCredential(ctx context.Context, tenant, person string, change func(auth.Credential) (CredentialChange, error)) error

	// AddSession keeps a new session with its refresh token (nil for none), ends
	// the one that it replaces ("" for none), and records the entry, if still says
	// nothing against what its person proves themselves by at that moment.
	AddSession(ctx context.Context, s Session, refresh *Refresh, replaces string, still func(auth.Credential) error, e audit.Entry) error

	// BrowserSession returns the browser's session that a cookie is of, unless it
	// has ended.
	BrowserSession(ctx context.Context, tenant string, cookie [32]byte) (Session, error)

	// UseSession keeps that a session was used, and how long it is good for.
	UseSession(ctx context.Context, tenant, id string, used, expires time.Time) error

	// Sessions returns a person's sessions that have not ended, those used last
	// first, at most so many.
	Sessions(ctx context.Context, tenant, person string, most int) ([]Session, error)

	// EndSession ends one of a person's sessions and, unless alone, those that began
	// from it, and records the entry. One that is not there, or has ended, is
	// fault.NotFound.
	EndSession(ctx context.Context, tenant, person, id string, alone bool, e audit.Entry) error

	// EndSessions ends all of a person's sessions but the one to keep ("": none),
	// and records the entry.
	EndSessions(ctx context.Context, tenant, person, keep string, e audit.Entry) error

	AddCode(ctx context.Context, c Code) error
	AddDeviceCode(ctx context.Context, d DeviceCode) error

	// DropDeviceCodes asks, where a tenant has at least so many device codes that
	// nobody has decided and that have not run out, which of them have to go, and
	// deletes those that are still undecided.
	DropDeviceCodes(ctx context.Context, tenant string, least int, which func([]DeviceCode) []DeviceCode) error

	// DeviceCode returns the one that a user code is of, whatever became of it.
	DeviceCode(ctx context.Context, tenant string, code credential.UserCode) (DeviceCode, error)

	// DecideDeviceCode keeps what a person decided of a device code that nobody has
	// decided yet, with the session that it gives (nil for none), and records the
	// entry. Another code, or a session whose parent has ended, is fault.NotFound.
	DecideDeviceCode(ctx context.Context, tenant string, code credential.UserCode, state DeviceState, begin *Session, e audit.Entry) error

	// The three below find what an application presented, by its hash, and do in
	// the same transaction what take says, alone among the uses of it. take may be
	// called more than once; what counts is the last call.
	TakeCode(ctx context.Context, tenant string, hash [32]byte, take func(Code) Outcome) error
	TakeDeviceCode(ctx context.Context, tenant string, hash [32]byte, take func(DeviceCode) Outcome) error
	TakeRefresh(ctx context.Context, tenant string, hash [32]byte, take func(Refresh) Outcome) error
}

// CredentialChange is what becomes of a person's credential.
type CredentialChange struct {
	Credential auth.Credential
	End        bool          // end the person's sessions,
	Keep       string        // all but this one
	Entries    []audit.Entry // to record
}

// Outcome is what comes of a code or a refresh token that was presented. Its zero
// value leaves everything as it is.
type Outcome struct {
	Used    bool          // it is good no more
	Polled  time.Time     // of a device code: when it was looked at
	Begin   *Session      // the sign-in that it gives
	Extend  *Session      // the sign-in that it keeps alive: Used and Expires are kept
	Refresh *Refresh      // the refresh token that is good next
	End     string        // id of the session that it ends; "" for none
	Entries []audit.Entry // to record
}

// Secrets seals, and signs what browsers keep; *keys.Ring satisfies it.
type Secrets interface {
	Seal(kind, id string, secret []byte) []byte
	Unseal(kind, id string, sealed []byte) ([]byte, error)
	MAC(p keys.Purpose, data []byte) []byte
	CheckMAC(p keys.Purpose, data, mac []byte) bool
}

// Desk is where people sign in. [New] makes one.
type Desk struct {
	Config
	usual    *credential.Hasher // for browsers that are known: no flood from elsewhere fills its queue
	guesses  *limit.Guesses
	looking  counters
	refusals *refusals
}

// Config is what a desk is put together from.
type Config struct {
	Records   Records
	Directory *auth.Directory
	Resources auth.Resources
	Secrets   Secrets
	Hasher    *credential.Hasher
	Tally     *auth.Tally // counts failures of nobody who is known
	Now       func() time.Time
	Logger    *slog.Logger
}

// New returns a desk. [Desk.Run] makes entries of what it refuses.
func New(c Config) *Desk {
	return &Desk{Config: c, usual: credential.NewHasher(1), guesses: limit.NewGuesses(c.Now), looking: counters{at: map[claim]int{}}, refusals: newRefusals(c)}
}

// Visitor is who is at the other end, as far as the connection tells.
type Visitor struct {
	Tenant      auth.Tenant
	From        string // address
	Agent       string // what the browser or program calls itself
	Correlation string // the request's id
}

// now is the time as it is kept.
func (d *Desk) now() time.Time { return d.Now().UTC().Truncate(100 * time.Nanosecond) }

// hidden is what the audit log keeps of a person.
func (v Visitor) hidden(p auth.Person) audit.Hidden {
	return audit.Hidden{Who: who(p), Name: p.Principal, From: v.From, Correlation: v.Correlation}
}

func who(p auth.Person) string { return string(auth.User) + "/" + p.ID }

// entry is the entry of what a person did.
func (d *Desk) entry(v Visitor, p auth.Person, act audit.Act, object, detail string) audit.Entry {
	return audit.NewEntry(d.Now(), audit.Leaf{Act: act, Object: object, Result: audit.Done, Detail: detail}, v.hidden(p))
}

// ErrorCode is an error of RFC 6749, section 5.2, or RFC 8628, section 3.5.
type ErrorCode string

// The codes, each with what its client can do about it.
const (
	InvalidScope    ErrorCode = "invalid_scope"    // ask for what the application has
	InvalidResource ErrorCode = "invalid_resource" // ask for this API
	InvalidGrant    ErrorCode = "invalid_grant"    // have the person sign in again
	Pending         ErrorCode = "authorization_pending"
	SlowDown        ErrorCode = "slow_down"
	Denied          ErrorCode = "access_denied"
	Expired         ErrorCode = "expired_token"
	Interaction     ErrorCode = "interaction_required" // the person has to do more than the client can ask for
)

// Error is why an application gets no token, in its own protocol's terms.
type Error struct {
	Code ErrorCode
	Text string // for the client, and often for its person
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Text }

func refuse(code ErrorCode, text string) error { return &Error{code, text} }

// clip bounds what a program calls itself.
func clip(text string, most int) string {
	if len(text) > most {
		text = text[:most]
	}
	return audit.Clip(text)
}

// firmFor bounds a write that no longer hangs on its caller.
const firmFor = 30 * time.Second

// firm is a context for a write that whoever sent the request can't take back by
// going away: a code that was looked at is used up.
func firm(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), firmFor)
}

// notThere says whether an error is that a thing is not there.
func notThere(err error) bool {
	code, _ := fault.Of(err)
	return code == fault.NotFound
}
