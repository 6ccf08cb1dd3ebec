package store

import (
	"encoding/json"
	"fmt"
	"time"

	"swab/internal/canon"
)

// ticks is a time for a column that is never NULL.
func ticks(t time.Time) int64 { return canon.Ticks(t) }

// ticksOrNull is a time for a column in which the zero time is NULL.
func ticksOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return canon.Ticks(t)
}

// stored is t as it comes back from the database.
func stored(t time.Time) time.Time { return canon.FromTicks(canon.Ticks(t)) }

// when scans a time; NULL is the zero time.
type when struct{ t *time.Time }

func (w when) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*w.t = time.Time{}
	case int64:
		*w.t = canon.FromTicks(v)
	default:
		return fmt.Errorf("a time is %T in the database, not an integer", v)
	}
	return nil
}

// blob is bytes for a column in which nil is NULL.
func blob(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// text is v as JSON for a text column.
func text(v any) string {
	b, err := canon.Marshal(v)
	if err != nil {
		panic("store: plain data can't be encoded: " + err.Error())
	}
	return string(b)
}

// texts is a list as JSON for a text column; none is an empty one.
func texts(list []string) string { return text(append([]string{}, list...)) }

// fromText scans JSON of a text column.
type fromText struct{ v any }

func (f fromText) Scan(v any) error {
	switch v := v.(type) {
	case string:
		return json.Unmarshal([]byte(v), f.v)
	case []byte:
		return json.Unmarshal(v, f.v)
	}
	return fmt.Errorf("a list is %T in the database, not text", v)
}

// literal is a value of a filter as its column has it.
func literal(v any) any {
	if t, ok := v.(time.Time); ok {
		// Not ticks: the zero time is a time here, as any other.
		return t.Unix()*1e7 + int64(t.Nanosecond())/100
	}
	return v
}
