package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"swab/internal/device"
)

// maxCondition bounds a condition as it is typed, in bytes.
const maxCondition = 16 << 10

// parseRule reads a rule as people type it, a condition at a time.
func parseRule(conditions []string) (device.Rule, error) {
	var rule device.Rule
	var wrong []error
	for _, s := range conditions {
		c, err := parseCondition(s)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("--rule %.80q: %w", s, err))
		}
		rule = append(rule, c)
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	if err := rule.Check(); err != nil {
		return nil, fmt.Errorf("--rule: %w", err)
	}
	return rule, nil
}

// parseCondition reads one condition: a property, an operator, and values with
// commas between them, any of which may fit.
//
//	tag startsWith prod,dmz
//	deviceName equals "a, b"
//
// A value that has a comma, a quote or blanks at its ends stands in double quotes,
// within which \" is a quote and \\ a backslash. An error names the place, counted
// in characters from 1.
func parseCondition(s string) (c device.Condition, err error) {
	if len(s) > maxCondition || !utf8.ValidString(s) {
		return c, fmt.Errorf("it has over %d bytes, or is not UTF-8", maxCondition)
	}
	r := &conditionReader{text: []rune(s)}
	c.Property, err = wordAmong(r, "property", device.Properties)
	if err == nil {
		c.Operator, err = wordAmong(r, "operator", device.Operators)
	}
	if err == nil {
		c.Values, err = r.values()
	}
	if err != nil {
		return device.Condition{}, fmt.Errorf("at %d: %w", r.at+1, err)
	}
	return c, nil
}

// conditionReader stands before the rune at at.
type conditionReader struct {
	text []rune
	at   int
}

func (r *conditionReader) blanks() {
	for r.at < len(r.text) && unicode.IsSpace(r.text[r.at]) {
		r.at++
	}
}

// next is the rune that it stands before; -1 at the end.
func (r *conditionReader) next() rune {
	if r.at == len(r.text) {
		return -1
	}
	return r.text[r.at]
}

// wordAmong reads one of some words, in upper or lower case.
func wordAmong[W ~string](r *conditionReader, what string, words []W) (W, error) {
	r.blanks()
	end := r.at
	for end < len(r.text) && !unicode.IsSpace(r.text[end]) {
		end++
	}
	word := string(r.text[r.at:end])
	at := slices.IndexFunc(words, func(w W) bool { return strings.EqualFold(string(w), word) })
	if at < 0 {
		there := make([]string, len(words))
		for i, w := range words {
			there[i] = string(w)
		}
		if word == "" {
			return "", fmt.Errorf("the %s is missing; there are %s", what, strings.Join(there, ", "))
		}
		return "", fmt.Errorf("there is no %s %.40q; there are %s", what, word, strings.Join(there, ", "))
	}
	r.at = end
	return words[at], nil
}

// values reads the rest: at least one value.
func (r *conditionReader) values() (list []string, err error) {
	for {
		r.blanks()
		var value string
		if r.next() == '"' {
			value, err = r.quoted()
		} else {
			value, err = r.bare()
		}
		if err != nil {
			return nil, err
		}
		list = append(list, value)
		switch r.next() {
		case -1:
			return list, nil
		case ',':
			r.at++
		default:
			return nil, errors.New("a comma or the end is missing here")
		}
	}
}

// bare reads a value without quotes, up to the next comma.
func (r *conditionReader) bare() (string, error) {
	begin := r.at
	for r.next() != -1 && r.next() != ',' {
		if r.next() == '"' {
			return "", errors.New(`a quote stands within a value; write "a \"b\" c"`)
		}
		r.at++
	}
	value := strings.TrimSpace(string(r.text[begin:r.at]))
	if value == "" {
		r.at = begin
		return "", errors.New("a value is missing here")
	}
	return value, nil
}

// quoted reads a value in quotes, and the blanks behind it.
func (r *conditionReader) quoted() (string, error) {
	begin := r.at
	var b strings.Builder
	for r.at++; r.next() != '"'; r.at++ {
		if r.next() == '\\' {
			if r.at++; r.next() != '"' && r.next() != '\\' {
				return "", errors.New(`a backslash stands before something else than " and \`)
			}
		}
		if r.next() == -1 {
			r.at = begin
			return "", errors.New("the quote that begins here has no end")
		}
		b.WriteRune(r.next())
	}
	r.at++
	r.blanks()
	return b.String(), nil
}

// ruleText is a rule as it is typed, a condition each.
func ruleText(rule device.Rule) []string {
	list := make([]string, len(rule))
	for i, c := range rule {
		values := make([]string, len(c.Values))
		for j, v := range c.Values {
			if values[j] = v; v == "" || strings.TrimSpace(v) != v || strings.ContainsAny(v, `,"`) {
				values[j] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
			}
		}
		list[i] = fmt.Sprintf("%s %s %s", c.Property, c.Operator, strings.Join(values, ","))
	}
	return list
}
