package access

import (
	"context"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
	"swab/internal/keys"
)

// Ring is the server's keys as far as administrators see them; *keys.Ring
// satisfies it.
type Ring interface {
	// TokenRecords are the keys of access tokens as they are kept, the newest
	// first, without their private halves.
	TokenRecords(ctx context.Context) ([]keys.Record, error)

	// SucceedTokens makes the next one, or returns the one that is announced.
	SucceedTokens(ctx context.Context, s keys.Successions, tenant string, who audit.Hidden, withdraw bool) (keys.Record, error)
}

// Keys returns the keys of access tokens, the newest first, also those that
// have ended. No answer has a private half.
func (r *Register) Keys(ctx context.Context, who auth.Caller) ([]keys.Record, error) {
	if err := r.permit(ctx, who, audit.ActReadKey, string(keys.AccessToken), auth.AdministerAll); err != nil {
		return nil, err
	}
	return r.Ring.TokenRecords(ctx)
}

// RotateTokenKey gives the key of access tokens a successor, for administrators
// of the home tenant: all tenants' tokens are signed by it. read says whether
// the present key is withdrawn, so that every token that anybody has is worth
// nothing at once; else each holds until it expires. Where the next key is
// announced already, that one is returned and nothing is recorded.
func (r *Register) RotateTokenKey(ctx context.Context, who auth.Caller, read func() (withdraw bool, err error)) (keys.Record, error) {
	const object = string(keys.AccessToken)
	if err := r.permit(ctx, who, audit.ActKey, object, auth.AdministerAll); err != nil {
		return keys.Record{}, err
	}
	withdraw, err := false, error(nil)
	if who.Tenant == r.Home {
		withdraw, err = read()
	} else {
		err = fault.DisallowedOperation.Errorf(nil, "The server's keys are succeeded by administrators of the installation's first tenant alone")
	}
	var next keys.Record
	if err == nil {
		firm, done := firm(ctx)
		defer done()
		next, err = r.Ring.SucceedTokens(firm, r.Records, who.Tenant, who.Hidden(""), withdraw)
	}
	if err != nil {
		return keys.Record{}, r.refuse(ctx, who, audit.ActKey, object, err)
	}
	r.Logger.InfoContext(ctx, "key of access tokens succeeded", "key", next.ID, "from", next.From, "withdrawn", withdraw, "caller", who.ID, "correlation", who.Correlation)
	return next, nil
}
