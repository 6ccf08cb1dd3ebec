package auth

import (
	"context"
	"time"

	"swab/internal/audit"
	"swab/internal/fault"
)

// Recorder keeps audit entries of what changes nothing else, a refusal for one.
type Recorder interface {
	Record(ctx context.Context, tenant string, e ...audit.Entry) error
}

// Guard stands before every operation of the core: it asks for the caller's
// permission, and sees to it that what is refused is in the audit log.
type Guard struct {
	Records Recorder
	Now     func() time.Time
}

// Permit is nil if who has the right, and a call left of the limit of the API it
// came by. Without the right the refusal of act on object is recorded and
// returned. A call over the limit, and a refusal beyond those that are recorded one
// by one, is returned alone: they are summed, else a caller could fill the log by
// asking often.
func (g Guard) Permit(ctx context.Context, who Caller, act audit.Act, object string, right Right) error {
	err := who.Need(right)
	if err != nil {
		if who.Refused != nil && !who.Refused() {
			return err
		}
		return g.Refuse(ctx, who, audit.Leaf{Act: act, Object: object}, "", err)
	}
	if who.Charge == nil {
		return nil
	}
	return who.Charge(ctx)
}

// Refuse records that an operation was refused because of cause, and returns
// cause. Only faults of the caller are refusals; our own failures are not.
func (g Guard) Refuse(ctx context.Context, who Caller, leaf audit.Leaf, comment string, cause error) error {
	code, _ := fault.Of(cause)
	if code == fault.Internal || code == fault.Unavailable {
		return cause
	}
	leaf.Result, leaf.Detail = audit.Refused, string(code)
	// A caller that goes away must not leave its refusal unrecorded.
	err := g.Records.Record(context.WithoutCancel(ctx), who.Tenant, audit.NewEntry(g.Now(), leaf, who.Hidden(comment)))
	if err != nil {
		return fault.Unavailable.Errorf(err, "The refusal of this request could not be recorded; ask again later")
	}
	return cause
}
