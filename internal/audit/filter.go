package audit

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"swab/internal/canon"
	"swab/internal/fault"
)

// Filter selects entries of a log: those of which all that is set holds.
type Filter struct {
	Since, Until time.Time // from Since on, before Until; the zero time is no bound

	// Acts are any of these. One that ends in ".*" stands for all that begin so:
	// "user.*" for what was done to users.
	Acts []Act

	Who         string // kind and id of the caller, as in Hidden.Who
	User        string // name of the person who did it, in whatever case
	Object      string // as in Leaf.Object
	Device      string // id of the device concerned or acted on
	Result      string // Done or Refused
	Correlation string // id of the request
}

// Bounds of a filter.
const (
	maxFilterActs = 32
	maxFilterText = 256 // characters
)

// anyOf ends an act that stands for all that begin as it does.
const anyOf = ".*"

var actForm = regexp.MustCompile(`^[a-z]+(\.[a-z]+)*(\.\*)?$`)

// Group is what the acts begin with that an act of a filter stands for, such as
// "user."; ok is false where it stands for itself alone.
func (a Act) Group() (prefix string, ok bool) {
	prefix, ok = strings.CutSuffix(string(a), anyOf)
	return prefix + ".", ok
}

// Check is nil if entries can be selected by f, and else says what is wrong.
func (f Filter) Check() error {
	if len(f.Acts) > maxFilterActs {
		return fault.InvalidInput.Errorf(nil, "act is given %d times, at most %d are looked for at once", len(f.Acts), maxFilterActs)
	}
	for _, a := range f.Acts {
		if len(a) > maxFilterText || !actForm.MatchString(string(a)) {
			return fault.InvalidInput.Errorf(nil, `act is the name of an act, such as action.collect, or of several, such as user.*: %s`, Clip(string(a)))
		}
	}
	for _, one := range []struct{ name, value string }{
		{"who", f.Who}, {"user", f.User}, {"object", f.Object}, {"device", f.Device}, {"correlation", f.Correlation},
	} {
		if clip(one.value, maxFilterText) != one.value {
			return fault.InvalidInput.Errorf(nil, "%s is a text of at most %d characters, none of them a control character", one.name, maxFilterText)
		}
	}
	if f.Who != "" && f.Who != unknown && !strings.Contains(f.Who, "/") {
		return fault.InvalidInput.Errorf(nil, "who is a kind of caller and its id, such as application/ID or user/ID: %s; a person's name is looked for by user", Clip(f.Who))
	}
	if f.Result != "" && f.Result != Done && f.Result != Refused {
		return fault.InvalidInput.Errorf(nil, "result is %s or %s: %s", Done, Refused, Clip(f.Result))
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && f.Until.Before(f.Since) {
		return fault.InvalidInput.Errorf(nil, "until, %s, is before since, %s", canon.FormatTime(f.Until), canon.FormatTime(f.Since))
	}
	return nil
}

// unknown is who a refused caller is who proved nothing.
const unknown = "unknown"

// String is the filter as the entry says it of whoever searched: names and values.
func (f Filter) String() string {
	var parts []string
	add := func(name, value string) {
		if value == "" {
			return
		}
		if strings.ContainsAny(value, ` "=`) {
			value = strconv.Quote(value)
		}
		parts = append(parts, name+"="+value)
	}
	for _, t := range []struct {
		name string
		time time.Time
	}{{"since", f.Since}, {"until", f.Until}} {
		if !t.time.IsZero() {
			add(t.name, canon.FormatTime(t.time))
		}
	}
	for _, a := range f.Acts {
		add("act", string(a))
	}
	add("who", f.Who)
	add("user", f.User)
	add("object", f.Object)
	add("device", f.Device)
	add("result", f.Result)
	add("correlation", f.Correlation)
	return strings.Join(parts, " ")
}
