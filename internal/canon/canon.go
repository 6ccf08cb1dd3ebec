// Package canon is the one form in which Swab signs and hashes JSON.
//
// The form: keys in the order of the Go struct's fields, no space between
// tokens, no HTML escaping, no newline at the end. A reader takes nothing
// else: [Unmarshal] encodes what it read again and refuses bytes that differ,
// because JSON readers forgive duplicate keys, other case, other escapes and
// trailing data, and what is forgiven can be used to show two readers two
// documents under one signature.
package canon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrForm is returned for JSON that is well formed but not in the canonical form.
var ErrForm = errors.New("JSON is not in its canonical form")

// Marshal returns the canonical form of v.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Unmarshal reads data into v and refuses whatever is not exactly what
// [Marshal] gives for the value read: unknown fields, other order, trailing
// bytes. v is unchanged in meaning only if the error is nil.
func Unmarshal(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: data after the value", ErrForm)
	}
	again, err := Marshal(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, data) {
		at := 0
		for at < len(again) && at < len(data) && again[at] == data[at] {
			at++
		}
		return fmt.Errorf("%w: first difference at byte %d", ErrForm, at)
	}
	return nil
}
