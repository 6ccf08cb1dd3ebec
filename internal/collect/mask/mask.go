// Package mask hides secrets in environments and command lines. A secret is
// replaced by its length and a digest under a key that is new for each package:
// two values can be compared within the package, and guessed by nobody who
// lacks the key.
//
// What counts as one is told by a variable's or option's name, by the shape of
// a value (tokens of known services, JSON web tokens, private keys), and by
// where it stands (a URL's userinfo, an Authorization header, `mysql -psecret`).
// It errs towards masking; a name such as PWD or SSH_AUTH_SOCK is let through.
package mask

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Masker masks with one key. Safe for concurrent use.
type Masker struct {
	key   []byte
	names sync.Map // name → whether it names a secret; names repeat in every process
}

// New is a masker with a key.
func New(key [32]byte) *Masker { return &Masker{key: key[:]} }

// maxCached is the longest name whose verdict is remembered.
const maxCached = 64

// hide is what stands for a secret.
func (m *Masker) hide(secret string) string {
	if secret == "" {
		return ""
	}
	h := hmac.New(sha256.New, m.key)
	h.Write([]byte(secret))
	return fmt.Sprintf("[masked %d bytes, %x]", len(secret), h.Sum(nil)[:6])
}

// Env masks variables of the form NAME=value, in place.
func (m *Masker) Env(vars []string) []string {
	for i, v := range vars {
		name, value, ok := strings.Cut(v, "=")
		switch {
		case !ok || value == "":
		case m.secret(name) && !path(name, value):
			vars[i] = name + "=" + m.hide(value)
		default:
			if masked := m.sweep(m.value(value)); masked != value {
				vars[i] = name + "=" + masked
			}
		}
	}
	return vars
}

// Args masks a command line's arguments, in place.
func (m *Masker) Args(args []string) []string {
	if len(args) > 0 {
		m.words(args, 0)
	}
	for i, arg := range args {
		args[i] = m.sweep(arg)
	}
	return args
}

// words masks a list of words as a program would read them.
func (m *Masker) words(args []string, depth int) {
	tool := toolOf(args[0])
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if depth == 0 && strings.ContainsAny(arg, " \n\t") {
			args[i] = m.text(arg) // `sh -c "…"`, or a title that the process wrote over its arguments
			continue
		}
		name, value, hasValue := strings.Cut(arg, "=")
		next := i+1 < len(args) && !strings.HasPrefix(args[i+1], "--")
		switch {
		case strings.Contains(arg, kept):
			// masked already, in the text that the word stands in
		case hasValue && value != "" && m.secret(strings.TrimLeft(name, "-")) && !path(name, value):
			args[i] = name + "=" + m.hide(value)
		case !hasValue && strings.HasPrefix(arg, "--") && next && m.secret(arg[2:]) && !path(arg, args[i+1]):
			i++
			args[i] = m.hide(args[i])
		case tool.glued != "" && strings.HasPrefix(arg, tool.glued) && len(arg) > len(tool.glued) && !strings.HasPrefix(arg, "--"):
			args[i] = tool.glued + m.hide(arg[len(tool.glued):])
		case hasValue && tool.next(name):
			args[i] = name + "=" + m.half(value, tool.half)
		case tool.opt(arg) != "":
			opt := tool.opt(arg)
			args[i] = opt + m.half(arg[len(opt):], tool.half)
		case i+1 < len(args) && tool.next(arg):
			i++
			args[i] = m.half(args[i], tool.half)
		default:
			args[i] = m.value(arg)
		}
		if toolOf(arg).known() {
			tool = toolOf(arg) // `sudo mysql …`, `env X=1 curl …`
		}
	}
}

// kept stands on both sides of the number of a secret that is masked already; no
// argument can hold it.
const kept = "\x00"

// text masks a text in which several words stand: its settings and URLs first,
// quotes and all, then its words.
func (m *Masker) text(arg string) string {
	if strings.Contains(arg, "-----BEGIN ") {
		return m.value(arg)
	}
	var masks []string
	arg = m.sweepBy(arg, func(secret string) string {
		masks = append(masks, m.hide(secret))
		return kept + strconv.Itoa(len(masks)-1) + kept
	})
	arg = m.line(arg)
	for i, mask := range masks {
		arg = strings.Replace(arg, kept+strconv.Itoa(i)+kept, mask, 1)
	}
	return arg
}

// line masks the words of a text, and keeps what stands between them.
func (m *Masker) line(text string) string {
	if masked := m.header(text); masked != text {
		return masked
	}
	words := strings.FieldsFunc(text, space)
	if len(words) == 0 {
		return text
	}
	masked := append([]string(nil), words...)
	m.words(masked, 1)
	var b strings.Builder
	for i, w := range words {
		at := strings.Index(text, w)
		b.WriteString(text[:at])
		b.WriteString(masked[i])
		text = text[at+len(w):]
	}
	b.WriteString(text)
	return b.String()
}

func space(r rune) bool { return r == ' ' || r == '\t' || r == '\n' }

// header masks the value of a header that carries a credential.
func (m *Masker) header(text string) string {
	name, value, ok := strings.Cut(text, ":")
	if !ok || value == "" || strings.ContainsAny(name, " /=") || strings.Contains(value, kept) {
		return text
	}
	switch low := strings.ToLower(name); {
	case low == "authorization", low == "proxy-authorization", low == "cookie", m.secret(name):
		rest := strings.TrimLeft(value, " ")
		return name + ":" + value[:len(value)-len(rest)] + m.hide(rest)
	}
	return text
}

// half masks what stands behind sep ("user:secret"), or all if there is no sep to find.
func (m *Masker) half(s, sep string) string {
	if sep == "" {
		return m.hide(s)
	}
	user, secret, ok := strings.Cut(s, sep)
	if !ok || secret == "" {
		return s
	}
	return user + sep + m.hide(secret)
}

// value masks what in a value shows by itself that it is secret.
func (m *Masker) value(v string) string {
	if len(v) < 8 {
		return v
	}
	for _, shape := range shapes {
		if at := strings.Index(v, shape.prefix); at >= 0 && (shape.anywhere || at == 0) && len(v)-at >= shape.min {
			return v[:at] + m.hide(v[at:])
		}
	}
	if at := strings.Index(v, "://"); at > 0 {
		return m.url(v, at+3)
	}
	return v
}

// shapes are values that show what they are: by how they begin, and how long they
// are at least.
var shapes = []struct {
	prefix   string
	min      int
	anywhere bool
}{
	{"-----BEGIN ", 30, true},
	{"eyJ", 40, false},
	{"AKIA", 20, false}, {"ASIA", 20, false},
	{"ghp_", 30, false}, {"gho_", 30, false}, {"ghs_", 30, false}, {"github_pat_", 30, false},
	{"glpat-", 20, false}, {"xoxb-", 20, false}, {"xoxp-", 20, false}, {"sk-", 30, false}, {"hvs.", 20, false},
	{"dckr_pat_", 20, false}, {"npm_", 30, false}, {"pypi-", 30, false}, {"AGE-SECRET-KEY-", 30, false},
}

// url masks the password of a URL's userinfo and the secrets of its query.
// host is where what follows "://" begins.
func (m *Masker) url(v string, host int) string {
	end := strings.IndexAny(v[host:], "/?# \"'")
	if end < 0 {
		end = len(v)
	} else {
		end += host
	}
	if at := strings.LastIndexByte(v[host:end], '@'); at >= 0 {
		info := v[host : host+at]
		masked := m.half(info, ":")
		v = v[:host] + masked + v[host+at:]
	}
	query := strings.IndexByte(v, '?')
	if query < 0 {
		return v
	}
	parts := strings.Split(v[query+1:], "&")
	for i, part := range parts {
		if name, value, ok := strings.Cut(part, "="); ok && value != "" && m.secret(name) {
			parts[i] = name + "=" + m.hide(value)
		}
	}
	return v[:query+1] + strings.Join(parts, "&")
}

// secret reports whether a name is that of a secret.
func (m *Masker) secret(name string) bool {
	if v, ok := m.names.Load(name); ok {
		return v.(bool)
	}
	is := secretName(name)
	if len(name) <= maxCached {
		m.names.Store(strings.Clone(name), is)
	}
	return is
}

// path reports whether a "key" is where a key lies, rather than one: that is
// evidence.
func path(name, value string) bool {
	return strings.HasSuffix(strings.ToLower(name), "key") && strings.HasPrefix(value, "/") && !strings.ContainsAny(value, "+= ")
}

// plain are names that hold a word of secrets, and none.
var plain = map[string]bool{
	"pwd": true, "oldpwd": true, "sshauthsock": true, "sshaskpass": true, "gitaskpass": true, "sudoaskpass": true,
	"passwordstoredir": true, "keymap": true, "xdgsessionid": true, "bypass": true, "passthrough": true,
	"tokenizersparallelism": true, "tokenizer": true, "tokenizers": true, "compass": true, "passive": true, "maxtokens": true,
}

// words of secrets' names; ends are those that count at a name's end alone.
var (
	wordsIn  = []string{"passw", "passphrase", "passwd", "secret", "token", "apikey", "accesskey", "privatekey", "credential", "connectionstring", "accountkey", "sharedkey", "storepass", "authkey", "encryptionkey", "signingkey", "masterkey", "sessionkey", "bearer", "cookie"}
	wordsEnd = []string{"pass", "pwd", "pw", "key", "auth", "jwt", "dsn", "pat", "salt", "otp", "pin"}
)

func secretName(name string) bool {
	if len(name) > 256 {
		return false
	}
	parts := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	low := strings.Join(parts, "")
	if low == "" || plain[low] {
		return false
	}
	for _, w := range wordsIn {
		if strings.Contains(low, w) {
			// A path or a switch about secrets is no secret: TOKEN_FILE, --password-stdin.
			last := parts[len(parts)-1]
			return last != "file" && last != "path" && last != "dir" && last != "stdin" && last != "url" && last != "uri"
		}
	}
	last := parts[len(parts)-1]
	for _, w := range wordsEnd {
		if last == w || len(low) <= len(w)+8 && strings.HasSuffix(low, w) && (w == "pass" || w == "pwd") {
			return true
		}
	}
	return false
}
