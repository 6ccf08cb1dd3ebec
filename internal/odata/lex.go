package odata

import (
	"strings"
	"unicode/utf8"
)

// kind is what a token is.
type kind int

const (
	end    kind = iota // of the text
	word               // a name, an operator, a number, a date, a GUID
	quoted             // a string; text is what it means
	mark               // ( ) , : /
	bad                // text says what is wrong
)

type token struct {
	kind kind
	text string
	at   int // byte of the source
}

// is says whether the token is a word, in any case, or a mark.
func (t token) is(text string) bool {
	return t.kind == word && strings.EqualFold(t.text, text) || t.kind == mark && t.text == text
}

// shown is the token for a message.
func (t token) shown() string {
	switch t.kind {
	case end:
		return "the end"
	case quoted:
		return "the string '" + clip(t.text) + "'"
	default:
		return "'" + clip(t.text) + "'"
	}
}

// lex returns the token of s at or after byte at, and the byte after it.
func lex(s string, at int) (token, int) {
	for at < len(s) && strings.IndexByte(" \t\r\n", s[at]) >= 0 {
		at++
	}
	if at == len(s) {
		return token{end, "", at}, at
	}
	switch c := s[at]; {
	case c == '\'':
		return lexString(s, at)
	case strings.IndexByte("(),:/", c) >= 0:
		return token{mark, s[at : at+1], at}, at + 1
	case inWord(c, false):
		// A colon is of a time of day, but not of "tag: tag eq 'x'".
		number := c == '-' || c == '+' || '0' <= c && c <= '9'
		to := at + 1
		for to < len(s) && inWord(s[to], number) {
			to++
		}
		return token{word, s[at:to], at}, to
	default:
		r, size := utf8.DecodeRuneInString(s[at:])
		return token{bad, "the character '" + clip(string(r)) + "' means nothing here", at}, at + size
	}
}

func inWord(c byte, number bool) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '_' || c == '-' || c == '.' || c == '+' || number && c == ':'
}

// lexString reads a string: between quotes, a quote in it doubled.
func lexString(s string, at int) (token, int) {
	var b strings.Builder
	for from := at + 1; ; {
		n := strings.IndexByte(s[from:], '\'')
		if n < 0 {
			return token{bad, "the string that begins here has no end: a ' is missing, or one in it is not doubled", at}, len(s)
		}
		b.WriteString(s[from : from+n])
		from += n + 1
		if from == len(s) || s[from] != '\'' {
			return token{quoted, b.String(), at}, from
		}
		b.WriteByte('\'')
		from++
	}
}

// clip bounds what a caller sent before it is repeated in a message.
func clip(s string) string {
	const most = 64
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
