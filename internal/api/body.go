package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"swab/internal/fault"
)

// fields reads the body as a JSON object and returns the text of those of its
// properties that are named, as properties does.
func (c *call) fields(optional bool, names ...string) (map[string]string, error) {
	raw, err := c.properties(optional, names...)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, name := range names {
		if value, there := raw[name]; there {
			if found[name], err = text(value); err != nil {
				return nil, bad("%s %s", name, err)
			}
		}
	}
	return found, nil
}

// properties reads the body as a JSON object and returns those of its properties
// that are named, each of which is JSON of its own. A property that is missing
// or null is not in the map. Other properties are ignored, since clients send
// more than is asked; names are matched exactly, as in Defender.
//
// Readers of JSON differ in what they forgive, and what is read here is shown to
// an auditor later. So a named property that comes twice, text that is not
// UTF-8, or half of a surrogate pair is refused, not repaired.
func (c *call) properties(optional bool, names ...string) (map[string]json.RawMessage, error) {
	data, err := c.body()
	if err != nil || optional && len(bytes.TrimSpace(data)) == 0 {
		return nil, err
	}
	return parse(data, names)
}

// body is the body, which is to be JSON.
func (c *call) body() ([]byte, error) {
	if media := c.r.Header.Get("Content-Type"); !takes(media) {
		return nil, fault.UnsupportedMediaType.Errorf(nil, "The media type %s is not taken; send application/json", clip(media))
	}
	if c.long {
		return nil, bad("it has over %d bytes", maxBody)
	}
	return c.sent, nil
}

// takes says whether a body of that media type is read: JSON by its name, the
// text that some clients call it, or no name at all; any parameters.
func takes(media string) bool {
	name, _, _ := strings.Cut(media, ";")
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "", "application/json", "text/plain":
		return true
	}
	return false
}

func bad(format string, args ...any) error {
	return fault.InvalidRequestBody.Errorf(nil, "Request body is incorrect: %s", fmt.Sprintf(format, args...))
}

// parse is the reading of properties.
func parse(data []byte, names []string) (map[string]json.RawMessage, error) {
	if !utf8.Valid(data) {
		return nil, bad("it is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, bad("it is not a JSON object")
	}
	found, seen := map[string]json.RawMessage{}, map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, bad("it is not JSON at byte %d", dec.InputOffset())
		}
		key, _ := token.(string) // in an object the decoder gives nothing else
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, bad("it is not JSON at byte %d", dec.InputOffset())
		}
		if !slices.Contains(names, key) {
			continue
		}
		if seen[key] {
			return nil, bad("%s stands in it twice", key)
		}
		seen[key] = true
		if string(raw) != "null" {
			found[key] = raw
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, bad("it ends too early")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, bad("there is more after the JSON object")
	}
	return found, nil
}

var (
	errNoText    = errors.New("is not a string")
	errNoTexts   = errors.New("is not an array of strings")
	errSurrogate = errors.New("has half of a surrogate pair")
)

// texts are the values of a JSON array of strings, exactly.
func texts(raw []byte) ([]string, error) {
	var parts []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &parts) != nil {
		return nil, errNoTexts
	}
	list := make([]string, 0, len(parts))
	for _, part := range parts {
		s, err := text(part)
		if errors.Is(err, errNoText) {
			err = errNoTexts
		}
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// text is the value of a JSON string, exactly.
func text(raw []byte) (s string, err error) {
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", errNoText
	}
	// The decoder replaces half of a pair by U+FFFD and says nothing.
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		r, ok := escaped(raw[i:])
		switch {
		case !ok:
			i++ // the escaped character itself
		case utf16.IsSurrogate(r):
			low, _ := escaped(raw[i+6:])
			if utf16.DecodeRune(r, low) == utf8.RuneError {
				return "", errSurrogate
			}
			i += 11
		default:
			i += 5
		}
	}
	return s, nil
}

// escaped reads a \uXXXX at the beginning of raw.
func escaped(raw []byte) (rune, bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(raw[2:6]), 16, 16)
	return rune(n), err == nil
}
