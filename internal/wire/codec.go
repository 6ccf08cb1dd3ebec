package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// ErrVersion is returned for a message of another version.
var ErrVersion = errors.New("message has a version that this program does not speak")

// EncodeServer returns a server's message as a frame.
func EncodeServer(m FromServer) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%s message: %w", m.fromServer(), err)
	}
	return encode(m.fromServer(), m)
}

// EncodeDevice returns a device's message as a frame.
func EncodeDevice(m FromDevice) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%s message: %w", m.fromDevice(), err)
	}
	return encode(m.fromDevice(), m)
}

// DecodeServer reads a server's message.
func DecodeServer(data []byte) (FromServer, error) {
	f, err := open(data)
	if err != nil {
		return nil, err
	}
	for _, m := range ServerMessages() {
		if m.fromServer() == f.Type {
			return read(f, m)
		}
	}
	return nil, fmt.Errorf("a server has no message of type %.40q", f.Type)
}

// DecodeDevice reads a device's message.
func DecodeDevice(data []byte) (FromDevice, error) {
	f, err := open(data)
	if err != nil {
		return nil, err
	}
	for _, m := range DeviceMessages() {
		if m.fromDevice() == f.Type {
			return read(f, m)
		}
	}
	return nil, fmt.Errorf("a device has no message of type %.40q", f.Type)
}

// frame is a message in transit.
type frame struct {
	V    int             `json:"v"` // the version that brought the message
	Type string          `json:"type"`
	Body json.RawMessage `json:"body"`
}

func encode(kind string, m any) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("%s message: %w", kind, err)
	}
	b, err := json.Marshal(frame{V: sinceOf(kind), Type: kind, Body: body})
	if err != nil {
		return nil, fmt.Errorf("%s message: %w", kind, err)
	}
	if len(b) > MaxMessage {
		return nil, fmt.Errorf("%s message has %d bytes, over %d", kind, len(b), MaxMessage)
	}
	return b, nil
}

func open(data []byte) (frame, error) {
	var f frame
	if len(data) > MaxMessage {
		return f, fmt.Errorf("message has over %d bytes", MaxMessage)
	}
	if err := strict(data, &f); err != nil {
		return f, fmt.Errorf("message: %w", err)
	}
	if f.V < MinVersion || f.V > Version {
		return f, fmt.Errorf("%w: %d", ErrVersion, f.V)
	}
	if f.V != sinceOf(f.Type) {
		return f, fmt.Errorf("version %d has no new message of type %.40q", f.V, f.Type)
	}
	return f, nil
}

// strict reads one JSON value with no field that v does not have.
func strict(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("data after it")
	}
	return nil
}

// read returns the body of f as a value of m's type.
func read[M interface{ check() error }](f frame, m M) (M, error) {
	v := reflect.New(reflect.TypeOf(m))
	if err := strict(f.Body, v.Interface()); err != nil {
		return m, fmt.Errorf("%s message: %w", f.Type, err)
	}
	got := v.Elem().Interface().(M)
	if err := got.check(); err != nil {
		return m, fmt.Errorf("%s message: %w", f.Type, err)
	}
	return got, nil
}
