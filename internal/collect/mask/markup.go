package mask

import "strings"

// maxTag is how far the end of a tag is looked for.
const maxTag = 256

// element is where the secret of an element stands that begins at:
// `<password>secret</password>`, or that of the next element after one that names
// it, as property lists have it: `<key>password</key><string>secret</string>`.
func (s *sweeper) element(at int) (from, to int) {
	name, after, ok := s.tag(at)
	if !ok {
		return 0, 0
	}
	if name != "key" && name != "name" {
		if !s.m.secret(name) {
			return 0, 0
		}
		return s.content(after)
	}
	next, value, ok := s.property(after)
	switch {
	case ok && s.m.secret(value):
		return s.content(next)
	case !ok && name == "key":
		return s.content(after)
	}
	return 0, 0
}

// property is what an element holds whose text begins at, if the value follows in
// an element of its own, and where that value begins.
func (s *sweeper) property(at int) (next int, name string, ok bool) {
	end := strings.IndexByte(s.text[at:min(len(s.text), at+maxTag)], '<')
	if end < 0 {
		return 0, "", false
	}
	name = strings.TrimSpace(s.text[at : at+end])
	if _, next, ok = s.tag(at + end); !ok { // </key>
		return 0, "", false
	}
	for next < len(s.text) && next < at+2*maxTag && strings.IndexByte(" \t\r\n", s.text[next]) >= 0 {
		next++
	}
	for _, kind := range [...]string{"array", "data", "date", "dict", "false", "integer", "real", "true"} {
		if strings.HasPrefix(s.text[next:], "<"+kind) { // no text follows, and it is a name all the same
			return next, "", true
		}
	}
	_, next, ok = s.tag(next)
	return next, name, ok
}

// tag is the name of the tag at, without its namespace, and what follows the tag.
// An element that has no content has no tag to find.
func (s *sweeper) tag(at int) (name string, after int, ok bool) {
	if at >= len(s.text) || s.text[at] != '<' {
		return "", 0, false
	}
	begin := at + 1
	if begin < len(s.text) && s.text[begin] == '/' {
		begin++
	}
	end := begin
	for end < len(s.text) && end-begin < maxCached && (inName(s.text[end]) || s.text[end] == ':') {
		end++
	}
	name = s.text[begin:end]
	name = name[strings.LastIndexByte(name, ':')+1:]
	if name == "" || !s.m.secret(name) && name != "key" && name != "name" && name != "string" && name != "value" {
		return "", 0, false
	}
	close := strings.IndexByte(s.text[end:min(len(s.text), end+maxTag)], '>')
	if close < 0 || close > 0 && s.text[end+close-1] == '/' {
		return "", 0, false
	}
	return name, end + close + 1, true
}

// content is where an element's text stands. A `<password>` in the description of
// a program's arguments has none: there is a space behind it, and no end.
func (s *sweeper) content(from int) (int, int) {
	const cdata = "<![CDATA["
	if strings.HasPrefix(s.text[from:], cdata) {
		from += len(cdata)
		if n := strings.Index(s.text[from:], "]]>"); n >= 0 {
			return from, from + n
		}
		return from, len(s.text)
	}
	to := len(s.text)
	if n := strings.IndexByte(s.text[from:], '<'); n >= 0 {
		to = from + n
	}
	value := s.text[from:to]
	if masked(value) || strings.HasPrefix(value, kept) || strings.TrimSpace(value) == "" {
		return 0, 0
	}
	if strings.IndexByte(" \t\n", value[0]) >= 0 && !strings.HasPrefix(s.text[to:], "</") {
		return 0, 0
	}
	return from, to
}

// encoded is where the secret of a setting stands whose separator is at and is
// percent-encoded, once or twice: `password%3Dsecret`, `%22token%22%253A%22secret`,
// or the password in an encoded URL's userinfo.
func (s *sweeper) encoded(at int) (from, to int) {
	c, from := s.percent(at)
	switch {
	case c != '=' && c != ':':
		return 0, 0
	case c == ':':
		if a, next := s.percent(from); a == '/' {
			if b, host := s.percent(next); b == '/' {
				return s.encodedUserinfo(host)
			}
		}
	}
	end := at
	for end > s.done {
		if n := quoteBefore(s.text[s.done:end]); n > 0 {
			end -= n
			continue
		}
		break
	}
	begin := end
	for begin > s.done && inName(s.text[begin-1]) && end-begin < maxCached {
		begin--
	}
	name := s.text[begin:end]
	if begin > 0 && s.text[begin-1] == '%' { // what is encoded before the name: %26, %2526, %22
		name = strings.TrimPrefix(name, "25")
		name = name[min(2, len(name)):]
	}
	name = strings.TrimLeft(name, "-.")
	pwd := strings.EqualFold(name, "pwd")
	if !s.m.secret(name) && !pwd {
		return 0, 0
	}
	for {
		c, next := s.percent(from)
		if c != '"' && c != '\'' && c != ' ' && c != '=' && c != '\\' {
			break
		}
		from = next
	}
	to = s.encodedEnd(from, "&\n\r")
	value := s.text[from:to]
	if c, _ := s.percent(from); path(name, value) || masked(s.text[from:]) || pwd && (c == '/' || strings.HasPrefix(value, "/")) {
		return 0, 0
	}
	return from, to
}

// encodedUserinfo is where the password of an encoded URL stands, whose host or
// user begins at.
func (s *sweeper) encodedUserinfo(at int) (from, to int) {
	end := s.encodedEnd(at, "/?#&\n\r")
	for i := at; i < end; i++ {
		if s.text[i] != '%' {
			continue
		}
		switch c, next := s.percent(i); {
		case c == ':' && from == 0:
			from = next
		case c == '@':
			to = i
		}
	}
	if from == 0 || to <= from {
		return 0, 0
	}
	return from, to
}

// encodedEnd is where an encoded value ends: with the word, or where one of the
// stops is encoded.
func (s *sweeper) encodedEnd(from int, stops string) int {
	to := from
	for to < len(s.text) && strings.IndexByte(" \t\n,;&\"'}])"+kept, s.text[to]) < 0 {
		if s.text[to] == '%' {
			if c, _ := s.percent(to); c != 0 && strings.IndexByte(stops, c) >= 0 {
				break
			}
		}
		to++
	}
	return to
}

// percent is the character that is encoded at, by `%3D` or, twice, `%253D`, and
// where its code ends; 0 where there is none.
func (s *sweeper) percent(at int) (c byte, end int) {
	code := s.text[at:min(len(s.text), at+5)]
	end = at + 3
	if strings.HasPrefix(code, "%25") && len(code) == 5 {
		code = "%" + code[3:]
		end = at + 5
	}
	if len(code) < 3 || code[0] != '%' {
		return 0, at
	}
	high, low := unhex(code[1]), unhex(code[2])
	if high > 15 || low > 15 {
		return 0, at
	}
	return high<<4 | low, end
}

// unhex is the value of a hexadecimal digit; 255 of anything else.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

// quoteBefore is the length of the encoded quote or space that a text ends in.
func quoteBefore(text string) int {
	for _, q := range [...]string{"%22", "%27", "%20", "%2522", "%2527", "%2520", "%5C", "%5c"} {
		if strings.HasSuffix(text, q) {
			return len(q)
		}
	}
	return 0
}
