// Package api is the public HTTP API, compatible with the part of Microsoft
// Defender for Endpoint's that collects investigation packages.
//
// It decodes a request, asks the core, and encodes the answer; what may be done
// and by whom is decided in the core, and only there. The whole surface is the
// table in routes.go. A request goes through the same steps on every route, in
// this order, so that whoever may not do a thing learns that and nothing else:
//
//	route known (404, 405) → token (401) → permission (403) → limit of calls
//	(429) → the thing named (404) → query options, media type, body (400, 413,
//	415) → its state (400)
//
// Each failure, also of an unknown route, has one form of body with a code, a
// message and the request's id; the id is in the header request-id and in the
// log as well. Clients search the raw text of answers, so JSON is compact, its
// properties are always all there, and their order is the one that Defender has.
//
// Packages are fetched by links that need no token: they are signed, short-lived
// and name one package each (packages.go).
package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"swab/internal/access"
	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/credential"
	"swab/internal/device"
	"swab/internal/keys"
	"swab/internal/limit"
	"swab/internal/odata"
	"swab/internal/origin"
	"swab/internal/retention"
	"swab/internal/vault"
)

// operations is what the API asks of the core; *action.Engine satisfies it.
// Each one asks for its caller's permission first and keeps the audit log.
type operations interface {
	Target(ctx context.Context, who auth.Caller, name string) (device.Device, error)
	Collect(ctx context.Context, who auth.Caller, dev device.Device, r action.Request) (action.Action, error)
	Cancel(ctx context.Context, who auth.Caller, id action.ID, comment func() (string, error)) (action.Action, error)
	Get(ctx context.Context, who auth.Caller, id action.ID) (action.Action, error)
	List(ctx context.Context, who auth.Caller, read func() (odata.Query, error)) (odata.Page[action.Action], error)
	ListOf(ctx context.Context, who auth.Caller, name string, read func() (odata.Query, error)) (odata.Page[action.Action], error)
	Disallowed(ctx context.Context, who auth.Caller, name, what string) error
	Link(ctx context.Context, who auth.Caller, id action.ID, there func(action.Action) error) (action.Action, error)
	Refuse(ctx context.Context, who auth.Caller, leaf audit.Leaf, cause error) error
	Partial(ctx context.Context, who auth.Caller, id action.ID, attempt int) (action.Action, error)
	ReadLog(ctx context.Context, who auth.Caller, from int64, top int) (action.LogPage, error)
	Entries(ctx context.Context, who auth.Caller, read func() (action.Search, error)) (odata.Page[audit.Logged], error)
	Entry(ctx context.Context, who auth.Caller, index func() (int64, error)) (action.LogEntry, error)
}

// register is what the API asks of the core about who may come in;
// *access.Register satisfies it, by the same rules. What comes with a request is
// asked for by read, when the caller may.
type register interface {
	Apps(ctx context.Context, who auth.Caller) ([]auth.App, error)
	App(ctx context.Context, who auth.Caller, id string) (auth.App, error)
	CreateApp(ctx context.Context, who auth.Caller, read func() (access.NewApp, error)) (auth.App, *access.MadeSecret, error)
	ChangeApp(ctx context.Context, who auth.Caller, id string, read func() (access.AppChange, error)) (auth.App, error)
	RevokeApp(ctx context.Context, who auth.Caller, id string) (auth.App, error)
	AddSecret(ctx context.Context, who auth.Caller, id string, read func() (access.NewSecret, error)) (access.MadeSecret, error)
	RemoveSecret(ctx context.Context, who auth.Caller, id, secret string) (auth.App, error)
	AddCertificate(ctx context.Context, who auth.Caller, id string, read func() (access.NewCertificate, error)) (auth.Certificate, error)
	RemoveCertificate(ctx context.Context, who auth.Caller, id, certificate string) (auth.App, error)

	// A user is named by the id or the user principal name.
	Users(ctx context.Context, who auth.Caller, read func() (access.Paging, error)) (access.UserPage, error)
	User(ctx context.Context, who auth.Caller, name string) (access.User, error)
	CreateUser(ctx context.Context, who auth.Caller, read func() (access.NewUser, error)) (access.User, *credential.Clear, error)
	ChangeUser(ctx context.Context, who auth.Caller, name string, read func() (access.UserChange, error)) (access.User, error)
	DisableUser(ctx context.Context, who auth.Caller, name string) (access.User, error)
	EnableUser(ctx context.Context, who auth.Caller, name string) (access.User, error)
	ResetPassword(ctx context.Context, who auth.Caller, name string, read func() (password string, err error)) (access.User, *credential.Clear, error)
	ResetTOTP(ctx context.Context, who auth.Caller, name string) (access.User, error)
	Sessions(ctx context.Context, who auth.Caller, name string) ([]access.Session, error)
	RevokeSessions(ctx context.Context, who auth.Caller, name string) (access.User, error)

	UserGroups(ctx context.Context, who auth.Caller) ([]auth.UserGroup, error)
	UserGroup(ctx context.Context, who auth.Caller, id string) (auth.UserGroup, error)
	CreateUserGroup(ctx context.Context, who auth.Caller, read func() (access.NewUserGroup, error)) (auth.UserGroup, error)
	ChangeUserGroup(ctx context.Context, who auth.Caller, id string, read func() (access.Naming, error)) (auth.UserGroup, error)
	DeleteUserGroup(ctx context.Context, who auth.Caller, id string) (auth.UserGroup, error)
	Members(ctx context.Context, who auth.Caller, id string, read func() (access.Paging, error)) (access.UserPage, error)
	AddMember(ctx context.Context, who auth.Caller, group, user string) (access.User, error)
	RemoveMember(ctx context.Context, who auth.Caller, group, user string) (access.User, error)

	Roles(ctx context.Context, who auth.Caller) ([]auth.Role, error)
	Role(ctx context.Context, who auth.Caller, id string) (auth.Role, error)
	CreateRole(ctx context.Context, who auth.Caller, read func() (access.NewRole, error)) (auth.Role, error)
	ChangeRole(ctx context.Context, who auth.Caller, id string, read func() (access.RoleChange, error)) (auth.Role, error)
	DeleteRole(ctx context.Context, who auth.Caller, id string) (auth.Role, error)

	DeviceGroups(ctx context.Context, who auth.Caller) ([]device.Group, error)
	DeviceGroup(ctx context.Context, who auth.Caller, id string) (device.Group, error)
	CreateDeviceGroup(ctx context.Context, who auth.Caller, read func() (access.NewDeviceGroup, error)) (device.Group, error)
	ChangeDeviceGroup(ctx context.Context, who auth.Caller, id string, read func() (access.DeviceGroupChange, error)) (device.Group, error)
	DeleteDeviceGroup(ctx context.Context, who auth.Caller, id string) (device.Group, error)
	PreviewRule(ctx context.Context, who auth.Caller, read func() (device.Rule, error)) (access.Preview, error)
	OrderDeviceGroups(ctx context.Context, who auth.Caller, read func() (ids []int64, err error)) ([]device.Group, error)

	Issuers(ctx context.Context, who auth.Caller) ([]auth.TrustedIssuer, error)
	Issuer(ctx context.Context, who auth.Caller, id string) (auth.TrustedIssuer, error)
	CreateIssuer(ctx context.Context, who auth.Caller, read func() (auth.TrustedIssuer, error)) (auth.TrustedIssuer, error)
	ChangeIssuer(ctx context.Context, who auth.Caller, id string, read func() (access.IssuerChange, error)) (auth.TrustedIssuer, error)
	RevokeIssuer(ctx context.Context, who auth.Caller, id string) (auth.TrustedIssuer, error)

	Enrollments(ctx context.Context, who auth.Caller) ([]auth.Enrollment, error)
	CreateEnrollment(ctx context.Context, who auth.Caller, read func() (access.NewEnrollment, error)) (auth.Enrollment, auth.Clear, error)
	RevokeEnrollment(ctx context.Context, who auth.Caller, id string) (auth.Enrollment, error)

	Tenants(ctx context.Context, who auth.Caller) ([]auth.Tenant, error)
	CreateTenant(ctx context.Context, who auth.Caller, read func() (name string, err error)) (access.MadeTenant, error)
	RevokeTenant(ctx context.Context, who auth.Caller, id string) (auth.Tenant, error)

	Devices(ctx context.Context, who auth.Caller, read func() (access.DeviceQuery, error)) (access.DevicePage, error)
	Device(ctx context.Context, who auth.Caller, id string) (access.Device, error)
	RenameDevice(ctx context.Context, who auth.Caller, id string, read func() (name string, err error)) (access.Device, error)
	RetireDevice(ctx context.Context, who auth.Caller, id string) (access.Device, error)
	RestoreDevice(ctx context.Context, who auth.Caller, id string) (access.Device, error)
	RotateDeviceKey(ctx context.Context, who auth.Caller, id string) (access.Device, error)
	RevokeDevice(ctx context.Context, who auth.Caller, id string) (device.Device, error)

	Keys(ctx context.Context, who auth.Caller) ([]keys.Record, error)
	RotateTokenKey(ctx context.Context, who auth.Caller, read func() (withdraw bool, err error)) (keys.Record, error)
}

// keeper is what the API asks of the core about how long packages are kept;
// *retention.Keeper satisfies it, by the same rules.
type keeper interface {
	Show(ctx context.Context, who auth.Caller) (retention.Policy, error)
	Set(ctx context.Context, who auth.Caller, read func() (retention.Change, error)) (retention.Policy, error)
	Holds(ctx context.Context, who auth.Caller) ([]retention.Hold, error)
	Hold(ctx context.Context, who auth.Caller, read func() (retention.NewHold, error)) (retention.Hold, error)
	Release(ctx context.Context, who auth.Caller, id string) (retention.Hold, error)
}

// records is what the API reads without a caller, for a link that was signed.
type records interface {
	// Action returns one action, or fault.NotFound.
	Action(ctx context.Context, tenant string, id action.ID) (action.Action, error)

	// Tenant returns one tenant, or fault.NotFound.
	Tenant(ctx context.Context, id string) (auth.Tenant, error)
}

// packages is where packages lie; *vault.Vault satisfies it.
type packages interface {
	UploadsOf(ctx context.Context, tenant, action string) ([]vault.Upload, error)

	// Open opens an upload's bytes; bytes that were deleted are fault.NotFound.
	Open(ctx context.Context, upload string) (vault.Content, error)
}

// Config is what the API is put together from.
type Config struct {
	Engine   operations
	Fleet    devices
	Register register
	Keeper   keeper
	Records  records
	Vault    packages
	Keys     *keys.Ring
	Tokens   *auth.Tokens
	Tally    *auth.Tally // counts what is answered 401 and 429
	Origin   *origin.Set
	Home     string        // tenant id: whose sign-in address a 401 names
	Life     time.Duration // of a package link; 0: 15 minutes
	Now      func() time.Time
	Log      *slog.Logger

	// Limiter counts the calls of callers; nil: nobody's are limited. Limits are
	// the limits by the API's name, where they are not those of [Limits].
	Limiter *limit.Limiter
	Limits  map[string]limit.Figures

	// OnKnown is told, by the request's context, of each one whose token holds;
	// nil for nobody.
	OnKnown func(context.Context)

	// Observe is told of each answer, for metrics: method and route as the table
	// has them ("" for none, so that no caller can make a name of its own), the
	// status, and how long it took. nil for nobody.
	Observe func(method, route string, status int, took time.Duration)
}

// API is the handler of everything under /api and /packages.
type API struct {
	Config
	routes []route
	limits map[string]limited // by method and pattern of the route
	arrive time.Duration      // for a body to be here
}

// New returns the API.
func New(c Config) *API {
	if c.Life == 0 {
		c.Life = 15 * time.Minute
	}
	a := &API{Config: c, limits: limitsOf(c.Limits), arrive: deadline}
	a.routes = a.table()
	return a
}

// Serves says whether a request is for this handler, by the first segment of
// its path. It must be asked before any [http.ServeMux], which answers paths
// such as /api/../x by a redirect of its own.
func Serves(r *http.Request) bool {
	segments, _ := split(r.URL)
	return len(segments) > 0 && (fold(segments[0]) == "api" || segments[0] == "packages")
}
