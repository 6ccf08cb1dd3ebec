package store

import (
	"database/sql"
	"errors"
	"reflect"
	"strings"
	"unicode/utf8"
)

// PostgreSQL keeps any text but the character NUL, and takes nothing that is not
// UTF-8. A comment may hold the one, since comments are kept exactly as they
// were typed, and a name that is looked for may be the other. So what it can't
// hold is written in another way: a byte that is NUL or part of no character as
// mark and the character U+0100 + byte, the mark itself twice. The mark is a code
// point that Unicode assigns to no character. Two texts are equal, and one is
// the beginning of another, exactly when their written forms are.
const (
	mark     = '\U0010FFFF'
	markText = string(mark)
	markByte = 0xF4 // the first of the mark's bytes; of few other characters
)

// marked is the form in which PostgreSQL holds s.
func marked(s string) string {
	if strings.IndexByte(s, 0) < 0 && strings.IndexByte(s, markByte) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == 0 || r == utf8.RuneError && size == 1:
			b.WriteRune(mark)
			b.WriteRune(0x100 + rune(s[i]))
		case r == mark:
			b.WriteString(markText + markText)
		default:
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}

// unmarked is the text whose form marked made.
func unmarked(s string) string {
	if strings.IndexByte(s, markByte) < 0 || !strings.Contains(s, markText) {
		return s
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, markText)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		r, size := utf8.DecodeRuneInString(after)
		if r == mark {
			b.WriteString(markText)
		} else {
			b.WriteByte(byte(r - 0x100))
		}
		s = after[size:]
	}
}

// markedArgs are args with their texts, of whatever type, in that form.
func markedArgs(args []any) []any {
	list := make([]any, len(args))
	for i, a := range args {
		switch v := a.(type) {
		case nil, int64, int, bool, []byte:
			list[i] = v
		case string:
			list[i] = marked(v)
		default:
			list[i] = a
			if text := reflect.ValueOf(a); text.Kind() == reflect.String {
				list[i] = marked(text.String())
			}
		}
	}
	return list
}

// unmarkedJSON is fromText for PostgreSQL.
type unmarkedJSON struct{ fromText }

func (h unmarkedJSON) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return errors.New("a list is not text in the database")
	}
	return h.fromText.Scan(unmarked(text))
}

// scanUnmarked scans a row and gives its texts back as they were.
func scanUnmarked(r row, dest []any) error {
	for i, d := range dest {
		if list, ok := d.(fromText); ok {
			dest[i] = unmarkedJSON{list}
		}
	}
	if err := r.Scan(dest...); err != nil {
		return err
	}
	for _, d := range dest {
		switch d := d.(type) {
		case *string:
			*d = unmarked(*d)
		case *sql.NullString:
			d.String = unmarked(d.String)
		}
	}
	return nil
}
