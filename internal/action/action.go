package action

import (
	"context"
	"slices"
	"time"

	"swab/internal/audit"
	"swab/internal/catalog"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/odata"
)

// ID is an action's id: a UUID of version 7, in lower case.
type ID = string

// Type is the one type of action there is.
const Type = "CollectInvestigationPackage"

// Status is where an action stands, in the contract's words.
type Status string

// The statuses. The last four are ends.
const (
	Pending    Status = "Pending"
	InProgress Status = "InProgress"
	Succeeded  Status = "Succeeded"
	Failed     Status = "Failed"
	TimeOut    Status = "TimeOut"
	Cancelled  Status = "Cancelled"
)

// next is the whole life of an action. A status missing on the left is an end:
// it is never left, so what a device sends late is dropped, not stored.
var next = map[Status][]Status{
	Pending:    {InProgress, Cancelled, TimeOut, Failed},
	InProgress: {Succeeded, Failed, TimeOut, Cancelled},
}

// May says whether an action may go from one status to another.
func (s Status) May(to Status) bool { return slices.Contains(next[s], to) }

// Ended says whether s is an end.
func (s Status) Ended() bool { return len(next[s]) == 0 }

// Action is a request for one package of one device, and what became of it.
type Action struct {
	Tenant      string
	ID          ID
	Device      device.ID
	DeviceName  string // as it was when asked
	Status      Status
	Profile     string
	Plan        catalog.Digest
	Source      string // requestSource
	RequestorID string // the requestor's id, by which it is found too
	Requestor   string
	Comment     string
	ExternalID  string // "" for none

	Created time.Time
	Updated time.Time // last change of status
	Touched time.Time // last acknowledged progress, for the time-out
	Due     time.Time // when the sweep must look at it; zero once ended

	Attempt int       // the one offered or running; from 1
	Acked   int       // the last attempt that the device acknowledged; below Attempt while that one is only offered
	Begun   time.Time // when the device acknowledged the first attempt; zero before
	Stage   int       // as last reported
	Items   int
	Of      int
	Bytes   int64 // of the package, acknowledged
	TakenMs int64 // from begun to stage 0 read into memory, as the device measured

	Cancel *Cancellation

	ErrorHResult int64
	Trouble      string // why it failed or timed out, in words; "" otherwise

	Entry   int64         // the audit entry that asked for it; given by the store
	Opening audit.Opening // of that entry's commitment
	Leaf    []byte        // the leaf's bytes; its index and proof come from the store
	Package *Package      // once Succeeded
}

// Cancellation is who called an action off.
type Cancellation struct {
	Requestor string
	Comment   string
	Time      time.Time
}

// Package is a sealed package.
type Package struct {
	Upload  string // where its bytes lie in the vault
	SHA256  string // hex
	Size    int64
	Receipt []byte // the DSSE envelope
	Sealed  time.Time
}

// MaxTop is the most that one list holds.
const MaxTop = odata.MaxTop

// Ref names an action of any tenant.
type Ref struct {
	Tenant string
	ID     ID
}

// ActiveError says which action stands in the way of a new one. It is a
// fault.Active.
type ActiveError struct{ ID ID }

// Records is what the engine needs kept; *store.Store satisfies it. Each method
// is one transaction, durable when it returns nil, and its audit entries are in
// the log by then or the whole of it did not happen.
type Records interface {
	// CreateAction keeps a new action with the entry that records it and
	// returns it with Entry set. If the device has an action that has not
	// ended, nothing is kept and the error is an *ActiveError that names it.
	CreateAction(ctx context.Context, a Action, e audit.Entry) (Action, error)

	// Action returns one action, or fault.NotFound.
	Action(ctx context.Context, tenant string, id ID) (Action, error)

	// Actions returns those of devices within reach that q selects, the newest
	// first where it does not say another order. What takes too long is
	// fault.Unavailable.
	Actions(ctx context.Context, tenant string, reach device.Reach, q odata.Query) (odata.Page[Action], error)

	// ActiveAction returns the device's action that has not ended; ok is false
	// where there is none.
	ActiveAction(ctx context.Context, tenant string, dev device.ID) (a Action, ok bool, err error)

	// ChangeAction reads an action, lets change make of it what it should
	// become, and keeps that with the entries that record it. Whoever comes
	// second sees what the first one made. change may run more than once and
	// has no effect of its own; an error of it changes nothing and is returned.
	ChangeAction(ctx context.Context, tenant string, id ID, change func(Action) (Action, []audit.Entry, error)) (Action, error)

	// DueActions returns actions that have not ended and whose Due has come,
	// at most limit, the longest due first.
	DueActions(ctx context.Context, now time.Time, limit int) ([]Ref, error)

	// Offered returns the devices of actions that have not ended and whose
	// attempt the device has not acknowledged, at most limit, those with the
	// most time left first.
	Offered(ctx context.Context, limit int) ([]device.ID, error)

	// Record keeps entries of acts that change nothing else.
	Record(ctx context.Context, tenant string, e ...audit.Entry) error
}

func (e *ActiveError) Error() string { return "Action is already in progress" }

// Unwrap makes the error a fault with the contract's exact text.
func (e *ActiveError) Unwrap() error {
	return fault.Active.Errorf(nil, "Action is already in progress")
}
