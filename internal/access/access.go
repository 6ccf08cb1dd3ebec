// Package access is what administrators do about who may come in, and do what:
// the operations on applications and what they prove themselves by, on users,
// user groups, roles, device groups and issuers, on enrolment tokens, by which
// devices join a tenant, on tenants, and the revocation of a device.
//
// As everywhere in the core, an operation takes its caller, asks for the
// permission first, and is an entry in the tenant's audit log, done or refused:
// a deed in the transaction that does it. What a caller sends with it comes last,
// from a function, so that who may not do a thing is told that and nothing else.
// Package auth says what a caller and a token are; it decides nothing about them.
//
// What was revoked stays revoked and stays in the lists, since the audit log and
// old packages speak of it; a new one takes its place. For the same reason a user
// is never deleted, but disabled. User groups, roles and device groups are, and
// their last state is in the log.
//
// Administrators who are not of the built-in role act within what they may do
// themselves (see roster.go): nobody raises their own access, nobody gives what
// they do not have, and the last administrator stays.
//
// A secret is made here, never chosen, and told once, by the operation that makes
// it: the store has its hash. A user's password alone may be chosen.
//
// Tenants are apart. What is another tenant's is answered as what is not there.
// Only the tenants themselves are seen, made and revoked across: by the
// administrators of one of them, the installation's first, called home.
package access

import (
	"context"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/canon"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/keys"
)

// Records is where the register is kept; *store.Store satisfies it. Whatever
// changes something records its entry in the same transaction. What is not
// there, or another tenant's, is fault.NotFound. What is revoked already is
// returned as it is, and nothing is recorded.
type Records interface {
	auth.Recorder

	// Apps returns the tenant's applications, the oldest first.
	Apps(ctx context.Context, tenant string) ([]auth.App, error)
	App(ctx context.Context, tenant, id string) (auth.App, error)
	AddApp(ctx context.Context, app auth.App, e audit.Entry) error

	// ChangeApp applies change to an application in one transaction, alone among
	// the changes of the tenant's applications, and records the entries that it
	// returns. others are those that administer besides. An error of change leaves
	// everything as it was, and comes back as it is.
	ChangeApp(ctx context.Context, tenant, id string, change func(app auth.App, others Administrators) (auth.App, []audit.Entry, error)) (auth.App, error)

	// ChangeRoster changes a tenant's people, and who may do what, in one
	// transaction, alone among the changes of them. An error of change leaves
	// everything as it was, and comes back as it is. change may run more than once.
	ChangeRoster(ctx context.Context, tenant string, change func(ctx context.Context, r Roster) error) error

	// Policy returns the roles and device groups of a tenant.
	Policy(ctx context.Context, tenant string) (*auth.Policy, error)

	// Preview returns devices within reach that a rule matches, the one enrolled
	// last first, at most top, how many there are, and whether it knows of all.
	Preview(ctx context.Context, tenant string, reach device.Reach, rule device.Rule, top int) (devices []device.Device, total int64, whole bool, err error)

	// PersonNamed finds a person by the id, or by the user principal name.
	PersonNamed(ctx context.Context, tenant, name string) (auth.Person, error)

	// People returns the people of a user group ("": of the tenant) in the order
	// of their principals, those after the one given, at most so many.
	People(ctx context.Context, tenant, group, after string, most int) ([]auth.Person, error)

	// SessionsOf returns the sign-ins of a person that have not ended, the newest
	// first, at most MaxSessions.
	SessionsOf(ctx context.Context, tenant, person string) ([]Session, error)

	// UserGroups returns the tenant's user groups in the order of their names.
	UserGroups(ctx context.Context, tenant string) ([]auth.UserGroup, error)
	UserGroup(ctx context.Context, tenant, id string) (auth.UserGroup, error)

	// IssuersOf returns the tenant's issuers in the order of their names.
	IssuersOf(ctx context.Context, tenant string) ([]auth.TrustedIssuer, error)

	// Enrollments returns the tenant's enrolment tokens, without their hashes.
	Enrollments(ctx context.Context, tenant string) ([]auth.Enrollment, error)
	AddEnrollment(ctx context.Context, e auth.Enrollment, entry audit.Entry) error
	RevokeEnrollment(ctx context.Context, tenant, id string, e audit.Entry) (auth.Enrollment, error)

	// Tenants returns all tenants, the oldest first.
	Tenants(ctx context.Context) ([]auth.Tenant, error)
	Tenant(ctx context.Context, id string) (auth.Tenant, error)

	// AddTenant makes a tenant with its first applications and enrolment token,
	// begins its log with entries, and records e in the log of the tenant by. A
	// name that another tenant has is fault.InvalidInput.
	AddTenant(ctx context.Context, by string, e audit.Entry, tenant auth.Tenant, apps []auth.App, token auth.Enrollment, entries ...audit.Entry) error

	// RevokeTenant records e in the log of the tenant by and in the tenant's own.
	RevokeTenant(ctx context.Context, by, id string, e audit.Entry) (auth.Tenant, error)

	// DeviceIDs returns ids of the tenant's devices in their order, those after
	// the one given, at most so many.
	DeviceIDs(ctx context.Context, tenant string, after device.ID, most int) ([]device.ID, error)
	RevokeDevice(ctx context.Context, tenant string, id device.ID, e audit.Entry) (device.Device, error)
	devices

	keys.Successions
}

// Administrators are those who may administer a tenant beside an application.
type Administrators struct {
	Apps   []auth.App // that are not revoked
	People bool       // there is a person who is not disabled and has the built-in role
}

// Waker says "look again" to whoever holds the device's connection.
type Waker interface {
	Wake(device.ID)
}

// Register is the list of those who may come in.
type Register struct {
	Records Records
	Bus     Waker
	Ring    Ring   // the server's keys
	Hasher  Hasher // of the passwords of people
	Home    string // id of the tenant whose administrators make and revoke tenants
	Now     func() time.Time
	Logger  *slog.Logger
}

func (r *Register) guard() auth.Guard { return auth.Guard{Records: r.Records, Now: r.Now} }

// now is the time as it is kept.
func (r *Register) now() time.Time { return r.Now().UTC().Truncate(100 * time.Nanosecond) }

// done is the entry of a deed.
func (r *Register) done(who auth.Caller, act audit.Act, object, detail string) audit.Entry {
	return audit.NewEntry(r.Now(), audit.Leaf{Act: act, Object: object, Result: audit.Done, Detail: detail}, who.Hidden(""))
}

// moment is a time as entries have it, "" for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return canon.FormatTime(t)
}

// refuse records that an operation was refused because of cause, and returns
// cause.
func (r *Register) refuse(ctx context.Context, who auth.Caller, act audit.Act, object string, cause error) error {
	return r.guard().Refuse(ctx, who, audit.Leaf{Act: act, Object: audit.Clip(object)}, "", cause)
}

// permit is nil if who has the right to administer what right says.
func (r *Register) permit(ctx context.Context, who auth.Caller, act audit.Act, object string, right auth.Right) error {
	return r.guard().Permit(ctx, who, act, audit.Clip(object), right)
}

// named refuses an id that nothing can have, and that a message must not repeat.
func named(what, id string) error {
	if id != audit.Clip(id) {
		return fault.NotFound.Errorf(nil, "%s %s was not found", what, audit.Clip(id))
	}
	return nil
}

// MaxName bounds what an administrator calls a thing, in characters.
const MaxName = 200

// title refuses a name that can't be kept and shown.
func title(what, name string, needed bool) error {
	switch {
	case needed && strings.TrimSpace(name) == "":
		return fault.MissingParameter.Errorf(nil, "%s is missing", what)
	case !utf8.ValidString(name) || utf8.RuneCountInString(name) > MaxName || strings.ContainsFunc(name, unseen):
		return fault.InvalidInput.Errorf(nil, "%s has over %d characters, or some that can't be seen", what, MaxName)
	}
	return nil
}

// description refuses what can't be kept and shown as a description. It may have
// several lines.
func description(s string) error {
	shown := strings.NewReplacer("\n", "", "\t", "").Replace(s)
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > MaxDescription || strings.ContainsFunc(shown, unseen) {
		return fault.InvalidInput.Errorf(nil, "description has over %d characters, or some that can't be seen", MaxDescription)
	}
	return nil
}

// unseen says whether a character is none that people see, or changes how they
// see others, such as one that turns the direction of writing.
func unseen(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

// firmFor bounds a write that no longer hangs on its caller.
const firmFor = 30 * time.Second

// firm is a context for a write that others must be told of: a caller who goes
// away in the middle must not take the wake-up along.
func firm(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), firmFor)
}
