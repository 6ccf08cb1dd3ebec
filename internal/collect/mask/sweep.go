package mask

import "strings"

// sweep masks what stands inside a text: `password=secret` among other settings,
// `"token": "secret"` in JSON, `Authorization: Bearer secret` in a quoted script,
// the userinfo of every URL. It is the last look at each argument and value,
// whatever a program would make of it, and goes through the text once.
func (m *Masker) sweep(text string) string { return m.sweepBy(text, m.hide) }

func (m *Masker) sweepBy(text string, hide func(string) string) string {
	if !strings.ContainsAny(text, "=:") && !strings.Contains(text, "earer ") {
		return text
	}
	var b strings.Builder
	done := 0 // what is written
	cover := func(from, to int) {
		b.WriteString(text[done:from])
		b.WriteString(hide(text[from:to]))
		done = to
	}
	for i := 0; i < len(text); i++ {
		if i < done {
			continue
		}
		from, to := 0, 0
		switch text[i] {
		case '=':
			from, to = m.setting(text, i, done)
		case ':':
			if strings.HasPrefix(text[i:], "://") {
				from, to = userinfo(text, i+3)
			} else {
				from, to = m.setting(text, i, done)
			}
		case ' ':
			from, to = credential(text, i)
		}
		if to > from {
			cover(from, to)
		}
	}
	if done == 0 {
		return text
	}
	b.WriteString(text[done:])
	return b.String()
}

// setting is where the secret stands that a name before sep has, if the name is
// that of a secret: up to the end of its quotes, or of the word.
func (m *Masker) setting(text string, sep, done int) (from, to int) {
	end := sep
	for end > done && (text[end-1] == ' ' || text[end-1] == '"' || text[end-1] == '\'' || text[end-1] == '\\') {
		end--
	}
	begin := end
	for begin > done && inName(text[begin-1]) && end-begin < maxCached {
		begin--
	}
	name := strings.TrimLeft(text[begin:end], "-.")
	if name == "" || !m.secret(name) && !strings.EqualFold(name, "authorization") {
		return 0, 0
	}
	from = sep + 1
	for from < len(text) && text[from] == ' ' {
		from++
	}
	for from < len(text) && text[from] == '\\' { // quotes within quotes
		from++
	}
	if from < len(text) && (text[from] == '"' || text[from] == '\'') {
		quote := text[from]
		from++
		for to = from; to < len(text) && text[to] != quote; to++ {
		}
		for to > from && text[to-1] == '\\' {
			to--
		}
	} else {
		stop := " \t\n,;&\"'}])"
		if text[sep] == ':' && strings.EqualFold(name, "authorization") {
			stop = "\n\"'" // a scheme and its value
		}
		for to = from; to < len(text) && !strings.ContainsRune(stop, rune(text[to])); to++ {
		}
	}
	if to-from == 0 || strings.HasPrefix(text[from:], "[masked ") || path(name, text[from:to]) || strings.HasPrefix(text[from:], "//") {
		return 0, 0
	}
	return from, to
}

func inName(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.'
}

// userinfo is where the password of a URL stands that follows "://".
func userinfo(text string, host int) (from, to int) {
	end := host
	for end < len(text) && !strings.ContainsRune("/?# \t\n\"',;", rune(text[end])) {
		end++
	}
	at := strings.LastIndexByte(text[host:end], '@')
	colon := strings.IndexByte(text[host:end], ':')
	if at < 0 || colon < 0 || colon >= at || strings.HasPrefix(text[host+colon+1:], "[masked ") {
		return 0, 0
	}
	return host + colon + 1, host + at
}

// credential is where what follows the word Bearer or Basic stands. The words
// are used in prose too, so something short, or of letters alone, is let be.
func credential(text string, space int) (from, to int) {
	word := text[max(0, space-len("bearer")):space]
	bearer := strings.HasSuffix(strings.ToLower(word), "bearer")
	if !bearer && !strings.HasSuffix(strings.ToLower(word), "basic") {
		return 0, 0
	}
	from = space + 1
	for to = from; to < len(text) && !strings.ContainsRune(" \t\n\"',;", rune(text[to])); to++ {
	}
	value := text[from:to]
	if strings.HasPrefix(value, "[masked") || len(value) < 8 || !strings.ContainsAny(value, "0123456789+/=_-.") {
		return 0, 0
	}
	return from, to
}
