package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
)

// Enrol takes a device into the tenant of an enrolment token, named by its
// hash, takes one from the token's count, and records the entry that the
// function makes for that tenant. The device's tenant and tags are the
// token's; its key must be proved by then.
//
// A device that is enrolled by this key already is returned as it is: nothing
// is recorded, and the token may be used up, since its last use may have been
// this one whose answer was lost. A key that may not come again, though the
// token holds, is fault.Forbidden, and then the device has the token's tenant
// and no more: it is that tenant's log that should tell of it.
func (s *Store) Enrol(ctx context.Context, tokenHash [sha256.Size]byte, d device.Device, entry func(tenant string) audit.Entry) (device.Device, error) {
	got, err := write(ctx, s, "enrol device "+string(d.ID), func(ctx context.Context, t *tx) (admission, error) {
		var none admission
		if len(d.Keys) != 1 || device.IDOf(d.Keys[0]) != d.ID {
			return none, errors.New("the id is not that of the one key")
		}
		token, err := s.usable(ctx, t, tokenHash)
		if err != nil {
			return none, err
		}
		known, err := deviceByID(ctx, t.conn, d.ID)
		switch {
		case err == nil:
			if err := mayReturn(known, d, token.Tenant); err != nil {
				return admission{device: device.Device{Tenant: token.Tenant}, refused: err}, nil
			}
			return admission{device: known}, nil
		case !errors.Is(err, sql.ErrNoRows):
			return none, err
		case token.Left == 0:
			return none, fault.Unauthorized.Errorf(nil, "The enrolment token is used up; ask for another")
		case token.Left > 0:
			if _, err := t.exec(ctx, "UPDATE enrollments SET remaining = remaining - 1 WHERE tenant = ? AND id = ?", token.Tenant, token.ID); err != nil {
				return none, fmt.Errorf("count of token %s: %w", token.ID, err)
			}
		}
		d.Tenant, d.Tags = token.Tenant, token.Tags
		if d.Value == "" {
			d.Value = "Normal"
		}
		if d.FirstSeen.IsZero() {
			d.FirstSeen = s.now()
		}
		if d.LastSeen.IsZero() {
			d.LastSeen = d.FirstSeen
		}
		d.FirstSeen, d.LastSeen = stored(d.FirstSeen), stored(d.LastSeen)
		if err := insertDevice(ctx, t, d); t.dialect.sideBySide && t.dialect.duplicate(err) {
			return none, errAgain // the same key, by a token of its own or one without a count: it is known now
		} else if err != nil {
			return none, err
		}
		_, _, err = t.record(ctx, token.Tenant, entry(token.Tenant))
		return admission{device: d}, err
	})
	if err != nil {
		return device.Device{}, err
	}
	return got.device, got.refused
}

// admission is what came of an enrolment whose token holds.
type admission struct {
	device  device.Device
	refused error
}

// usable returns the enrolment token of that hash, if a device may name it. Until
// the transaction ends nobody revokes it and, if it has a count, nobody else
// takes from it; whether it has one never changes.
func (s *Store) usable(ctx context.Context, t *tx, hash [sha256.Size]byte) (auth.Enrollment, error) {
	const query = "SELECT " + enrollmentColumns + " FROM enrollments WHERE hash = ?"
	e, err := one(ctx, t.conn, scanEnrollment, query, hash[:])
	if err == nil && t.dialect.sideBySide {
		lock := t.dialect.share("enrollments")
		if e.Left >= 0 {
			lock = t.dialect.lock("enrollments")
		}
		e, err = one(ctx, t.conn, scanEnrollment, query+lock, hash[:])
	}
	withdrawn := false
	if err == nil {
		withdrawn, err = one(ctx, t.conn, value[bool], "SELECT revoked FROM tenants WHERE id = ?"+t.dialect.share("tenants"), e.Tenant)
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return e, fault.Unauthorized.Errorf(err, "The enrolment token is not known here; check it, and the server it is for")
	case err != nil:
		return e, err
	case e.Revoked || withdrawn:
		return e, fault.Unauthorized.Errorf(nil, "The enrolment token was revoked; ask for another")
	case !e.Expires.IsZero() && !s.now().Before(e.Expires):
		return e, fault.Unauthorized.Errorf(nil, "The enrolment token expired; ask for another")
	}
	return e, nil
}

// mayReturn says whether a device that enrols again gets its first answer again.
func mayReturn(known, d device.Device, tenant string) error {
	switch {
	case known.Tenant != tenant:
		return fault.Forbidden.Errorf(nil, "The device's key is in use elsewhere; enrol with a new one")
	case known.Revoked:
		return fault.Forbidden.Errorf(nil, "The device was revoked; enrol with a new key")
	case !known.Key().Equal(d.Key()):
		return fault.Forbidden.Errorf(nil, "The device's key was succeeded by another; enrol with a new one")
	}
	return nil
}
