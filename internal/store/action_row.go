package store

import (
	"database/sql"
	"slices"
	"strings"
	"time"

	"swab/internal/action"
)

// The columns of an action, in two parts: what was asked, which never changes,
// and what became of it.
const (
	askedColumns    = "tenant, id, device, device_name, profile, plan, source, requestor_id, requestor, comment, external_id, created, entry"
	changingColumns = "status, updated, touched, due, attempt, acked, begun, stage, items, items_of, bytes, taken_ms, " +
		"cancel_requestor, cancel_comment, cancel_time, error_hresult, trouble, " +
		"package_upload, package_sha256, package_size, package_sealed, package_receipt"
)

const fromActions = " FROM actions a JOIN audit_entries e ON e.id = a.entry AND e.tenant = a.tenant"

var (
	selectAction = "SELECT a." + strings.ReplaceAll(askedColumns+", "+changingColumns, ", ", ", a.") + ", e.bytes, e.opening"
	insertAction = "INSERT INTO actions (" + askedColumns + ", " + changingColumns + ") " +
		"VALUES (?" + strings.Repeat(", ?", strings.Count(askedColumns+changingColumns, ", ")+1) + ") " +
		"ON CONFLICT (tenant, device) WHERE status IN ('Pending', 'InProgress') DO NOTHING"
	updateAction = "UPDATE actions SET " + strings.ReplaceAll(changingColumns, ", ", " = ?, ") + " = ? WHERE tenant = ? AND id = ?"
)

// changing are the values of changingColumns.
func changing(a action.Action) []any {
	cancel, sealed := []any{nil, nil, nil}, []any{nil, nil, nil, nil, nil}
	if c := a.Cancel; c != nil {
		cancel = []any{c.Requestor, c.Comment, ticks(c.Time)}
	}
	if p := a.Package; p != nil {
		sealed = []any{p.Upload, p.SHA256, p.Size, ticks(p.Sealed), blob(p.Receipt)}
	}
	return slices.Concat([]any{
		a.Status, ticks(a.Updated), ticks(a.Touched), ticksOrNull(a.Due), a.Attempt, a.Acked, ticksOrNull(a.Begun),
		a.Stage, a.Items, a.Of, a.Bytes, a.TakenMs,
	}, cancel, []any{a.ErrorHResult, a.Trouble}, sealed)
}

// scanAction scans a row of selectAction.
func scanAction(r row) (a action.Action, err error) {
	var (
		cancelRequestor, cancelComment sql.NullString
		cancelTime, sealed             time.Time
		upload, sha256                 sql.NullString
		size                           sql.NullInt64
		receipt                        []byte
	)
	err = r.Scan(
		&a.Tenant, &a.ID, &a.Device, &a.DeviceName, &a.Profile, &a.Plan, &a.Source, &a.RequestorID, &a.Requestor, &a.Comment, &a.ExternalID, when{&a.Created}, &a.Entry,
		&a.Status, when{&a.Updated}, when{&a.Touched}, when{&a.Due}, &a.Attempt, &a.Acked, when{&a.Begun},
		&a.Stage, &a.Items, &a.Of, &a.Bytes, &a.TakenMs,
		&cancelRequestor, &cancelComment, when{&cancelTime}, &a.ErrorHResult, &a.Trouble,
		&upload, &sha256, &size, when{&sealed}, &receipt,
		&a.Leaf, fromText{&a.Opening},
	)
	if cancelRequestor.Valid {
		a.Cancel = &action.Cancellation{Requestor: cancelRequestor.String, Comment: cancelComment.String, Time: cancelTime}
	}
	if upload.Valid {
		a.Package = &action.Package{Upload: upload.String, SHA256: sha256.String, Size: size.Int64, Receipt: receipt, Sealed: sealed}
	}
	return a, err
}

// asStored is a as it comes back from the database: its times in UTC, to 100 ns.
func asStored(a action.Action) action.Action {
	for _, t := range []*time.Time{&a.Created, &a.Updated, &a.Touched, &a.Due, &a.Begun} {
		*t = stored(*t)
	}
	if a.Cancel != nil {
		c := *a.Cancel
		c.Time = stored(c.Time)
		a.Cancel = &c
	}
	if a.Package != nil {
		p := *a.Package
		p.Sealed = stored(p.Sealed)
		a.Package = &p
	}
	return a
}

// sameRequest says whether what was asked is the same in both.
func sameRequest(a, b action.Action) bool {
	return a.Tenant == b.Tenant && a.ID == b.ID && a.Device == b.Device && a.DeviceName == b.DeviceName &&
		a.Profile == b.Profile && a.Plan == b.Plan && a.Source == b.Source && a.RequestorID == b.RequestorID && a.Requestor == b.Requestor &&
		a.Comment == b.Comment && a.ExternalID == b.ExternalID && a.Created.Equal(b.Created) && a.Entry == b.Entry
}
