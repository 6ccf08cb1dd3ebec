package mask

import "strings"

// sweep masks what stands inside a text: `password=secret` among other settings,
// `"token": "secret"` in JSON, `Authorization: Bearer secret` in a quoted script,
// the userinfo of every URL. It is the last look at each argument and value,
// whatever a program would make of it, and goes through the text once: what it
// looks at ahead is bounded, remembered, or masked.
func (m *Masker) sweep(text string) string { return m.sweepBy(text, m.hide) }

func (m *Masker) sweepBy(text string, hide func(string) string) string {
	var b strings.Builder
	s := sweeper{m: m, text: text}
	for i := 0; i < len(text); i++ {
		from, to := 0, 0
		switch text[i] {
		case '=':
			from, to = s.setting(i)
		case ':':
			if strings.HasPrefix(text[i:], "://") {
				from, to = userinfo(text, i+3)
			} else {
				from, to = s.setting(i)
			}
		case ' ', '\t':
			from, to = credential(text, i)
		case '<':
			from, to = s.element(i)
		case '%':
			from, to = s.encoded(i)
		case 'e', 'A', 'g', 'x', 'h', 'd', 'n', 'p', 's': // as shapes begin
			from, to = s.token(i)
		}
		if to > from {
			b.WriteString(text[s.done:from])
			b.WriteString(hide(text[from:to]))
			s.done = to
			i = to - 1
		}
	}
	if s.done == 0 {
		return text
	}
	b.WriteString(text[s.done:])
	return b.String()
}

// sweeper goes through one text.
type sweeper struct {
	m    *Masker
	text string
	done int // what lies before is written
	word int // where the last word looked at ends: names in one long word must not make each its own search
	run  run // the last one looked at, likewise
}

// setting is where the secret stands that a name before sep has, if the name is
// that of a secret: up to the end of its quotes, or of the word; of a header, up
// to the end of the line.
func (s *sweeper) setting(sep int) (from, to int) {
	text := s.text
	end := sep
	for end > s.done && strings.IndexByte(" \t\"'\\", text[end-1]) >= 0 {
		end--
	}
	begin := end
	for begin > s.done && inName(text[begin-1]) && end-begin < maxCached {
		begin--
	}
	name := strings.TrimLeft(text[begin:end], "-.")
	if name == "" || !s.m.secret(name) && !strings.EqualFold(name, "pwd") {
		return 0, 0
	}
	if begin > 0 && text[begin-1] == '/' && text[sep] == ':' {
		return 0, 0 // `-v /etc/passwd:/x`, `cat: /etc/passwd: no such file`
	}
	from = sep + 1
	for from < len(text) && strings.IndexByte("=> \t", text[from]) >= 0 { // :=, =>, ==
		from++
	}
	if from+1 < len(text) && text[from] == '[' && strings.IndexByte("\"'\\", text[from+1]) >= 0 { // a list in JSON
		from++
	}
	slashes := from
	for from < len(text) && text[from] == '\\' { // quotes within quotes
		from++
	}
	slashes = from - slashes
	switch {
	case from == len(text) || masked(text[from:]) || strings.HasPrefix(text[from:], "//"):
		return 0, 0
	case text[from] == '"' || text[from] == '\'':
		from, to = quotation(text, from, slashes)
	case text[sep] == ':' && wholeLine(name):
		to = lineEnd(text, begin, from)
	default:
		from -= slashes
		if to = quotedSetting(text, begin, from); to == 0 || end < sep {
			to = s.wordEnd(from)
		}
	}
	value := text[from:to]
	switch {
	case path(name, value), masked(text[from:]):
		return 0, 0
	case strings.EqualFold(name, "pwd") && strings.ContainsAny(value[:min(len(value), 3)], `/\$~`+"`"):
		return 0, 0 // the working directory, not the password of a connection string
	}
	return from, to
}

// quotedSetting is where a value ends that stands in quotes with its name, as in
// `"password=of two words"`; 0 where it does not, or where there are more settings
// in the quotes.
func quotedSetting(text string, name, value int) int {
	if name == 0 || text[name-1] != '"' && text[name-1] != '\'' {
		return 0
	}
	n := strings.IndexByte(text[value:min(len(text), value+maxQuoted)], text[name-1])
	if n < 0 || strings.ContainsAny(text[value:value+n], "=:\\,;&") {
		return 0
	}
	return value + n
}

// wordEnd is where the word ends that from lies in.
func (s *sweeper) wordEnd(from int) int {
	if from >= s.word {
		for s.word = from; s.word < len(s.text) && strings.IndexByte(" \t\n,;&\"'}])", s.text[s.word]) < 0; {
			s.word++
		}
	}
	return s.word
}

// quotation is what stands between the quote at open, before which that many
// backslashes stand, and its fellow.
func quotation(text string, open, slashes int) (from, to int) {
	from = open + 1
	run := 0 // of backslashes
	for to = from; to < len(text); to++ {
		switch text[to] {
		case '\\':
			run++
			continue
		case text[open]:
			if slashes == 0 && run%2 == 0 {
				return from, to
			}
			if slashes > 0 && run <= slashes {
				return from, to - run
			}
		}
		run = 0
	}
	return from, to
}

// wholeLine reports whether a header's value may have several words.
func wholeLine(name string) bool {
	for _, h := range []string{"authorization", "cookie"} {
		if len(name) >= len(h) && strings.EqualFold(name[len(name)-len(h):], h) {
			return true
		}
	}
	return false
}

// lineEnd is where a header's value ends: at the quote that opened before its
// name, or at any quote if none did; a Digest has quotes of its own.
func lineEnd(text string, name, from int) int {
	stop := "\n\"'"
	if name > 0 && (text[name-1] == '"' || text[name-1] == '\'') {
		stop = "\n" + text[name-1:name]
	} else if len(text)-from > 7 && strings.EqualFold(text[from:from+7], "digest ") {
		stop = "\n"
	}
	if n := strings.IndexAny(text[from:], stop); n >= 0 {
		return from + n
	}
	return len(text)
}

func inName(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.'
}

// masked reports whether a text begins with what hide made.
func masked(text string) bool {
	rest, ok := strings.CutPrefix(text, "[masked ")
	if !ok {
		return false
	}
	digits := len(rest) - len(strings.TrimLeft(rest[:min(len(rest), 10)], "0123456789")) - max(0, len(rest)-10)
	rest, ok = strings.CutPrefix(rest[digits:], " bytes, ")
	return ok && digits > 0 && len(rest) > 12 && rest[12] == ']' && strings.Trim(rest[:12], "0123456789abcdef") == ""
}

// userinfo is where the password of a URL stands that follows "://", or a token
// in the place of the user. A password may hold the @ and commas that ought to be
// escaped, so it goes to the last @.
func userinfo(text string, host int) (from, to int) {
	end := host
	for end < len(text) && strings.IndexByte("/?# \t\n\"'", text[end]) < 0 {
		end++
	}
	at := strings.LastIndexByte(text[host:end], '@')
	if at < 0 {
		return 0, 0
	}
	user, _, ok := strings.Cut(text[host:host+at], ":")
	switch {
	case ok:
		return host + len(user) + 1, host + at
	case len(user) >= 20 && strings.ContainsAny(user, "0123456789"):
		return host, host + at
	}
	return 0, 0
}

// credential is where what follows the word Bearer, Basic or Token stands. All
// are used in prose too: only what follows a Bearer with a capital is a secret
// whatever it looks like.
func credential(text string, space int) (from, to int) {
	begin := space
	for begin > 0 && space-begin < 7 && inName(text[begin-1]) {
		begin--
	}
	word := text[begin:space]
	bearer := strings.EqualFold(word, "bearer")
	if !bearer && !strings.EqualFold(word, "basic") && !strings.EqualFold(word, "token") {
		return 0, 0
	}
	for from = space; from < len(text) && (text[from] == ' ' || text[from] == '\t'); {
		from++
	}
	for to = from; to < len(text) && strings.IndexByte(" \t\n\"',;", text[to]) < 0; {
		to++
	}
	value := text[from:to]
	if masked(text[from:]) || strings.HasPrefix(value, kept) || !(bearer && word[0] == 'B') && !random(value) {
		return 0, 0
	}
	return from, to
}

// random reports whether a word looks made by a machine: long enough, and with a
// digit, or with capitals within.
func random(word string) bool {
	if len(word) < 8 {
		return false
	}
	if word[len(word)-1] == '=' {
		return true
	}
	low, high := false, false
	for i := range len(word) {
		c := word[i]
		if '0' <= c && c <= '9' {
			return true
		}
		low = low || 'a' <= c && c <= 'z'
		high = high || i > 0 && 'A' <= c && c <= 'Z'
	}
	return low && high
}
