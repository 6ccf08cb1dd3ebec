// Package mask hides secrets in environments and command lines. A secret is
// replaced by its length and a digest under a key that is new for each package:
// two values can be compared within the package, and guessed by nobody who
// lacks the key.
//
// What counts as one is told by a variable's or option's name, by the shape of
// a value (tokens of known services, JSON web tokens, private keys), and by
// where it stands (a URL's userinfo, an Authorization header, `mysql -psecret`).
// Each argument is read as its program would read it, and then looked through
// once more as a mere text, because a secret may stand in settings, JSON, scripts
// and headers that no rule about options foresees.
// It errs towards masking; a name such as PWD or SSH_AUTH_SOCK is let through.
package mask

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Masker masks with one key. Safe for concurrent use.
type Masker struct {
	hashes sync.Pool // of HMACs under the key; a new one costs more than a short secret does
	names  sync.Map  // name → whether it names a secret; names repeat in every process
	count  atomic.Int32
	made   atomic.Int64
}

// New is a masker with a key.
func New(key [32]byte) *Masker {
	m := &Masker{}
	m.hashes.New = func() any { return hmac.New(sha256.New, key[:]) }
	return m
}

// Made is how many secrets were masked.
func (m *Masker) Made() int64 { return m.made.Load() }

// hide is what stands for a secret.
func (m *Masker) hide(secret string) string {
	if secret == "" {
		return ""
	}
	m.made.Add(1)
	h := m.hashes.Get().(hash.Hash)
	defer m.hashes.Put(h)
	h.Reset()
	h.Write([]byte(secret))
	var sum [sha256.Size]byte
	out := append(make([]byte, 0, 48), "[masked "...)
	out = append(strconv.AppendInt(out, int64(len(secret)), 10), " bytes, "...)
	out = hex.AppendEncode(out, h.Sum(sum[:0])[:6])
	return string(append(out, ']'))
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

// words masks a list of words as a program would read them. At depth 0 they are
// arguments, at 1 the words of a script, at 2 those of a quoted word of it.
func (m *Masker) words(args []string, depth int) {
	tool, on := useTool(args[0])
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if depth == 0 && strings.ContainsAny(arg, " \n\t") {
			args[i] = m.text(arg) // `sh -c "…"`, or a title that the process wrote over its arguments
			continue
		}
		if tool.verb != "" && arg == tool.verb {
			on = true
		}
		name, value, hasValue := strings.Cut(arg, "=")
		next := i+1 < len(args)
		opt := ""
		if on {
			opt = tool.opt(arg)
		}
		switch {
		case strings.Contains(arg, kept):
			// masked already, in the text that the word stands in
		case hasValue && value != "" && m.secret(strings.TrimLeft(name, "-")) && !path(name, value):
			args[i] = name + "=" + m.hide(value)
		case opt != "" && opt != arg:
			args[i] = opt + m.half(arg[len(opt):], tool.halves(opt))
		case !hasValue && next && m.takesSecret(arg, args[i+1]):
			i++
			args[i] = m.hide(args[i])
		case on && hasValue && tool.takes(name):
			args[i] = name + "=" + m.half(value, tool.halves(name))
		case on && next && (opt != "" && opt == arg || tool.takes(arg)):
			i++
			args[i] = m.half(args[i], tool.halves(arg))
		case tool.net && strings.HasPrefix(arg, `\\`):
			i = m.share(args, i)
		case depth == 1 && strings.ContainsAny(arg, " \n\t"):
			args[i] = m.line(arg, depth+1)
		default:
			args[i] = m.value(arg)
		}
		if t, o := useTool(arg); t.known() {
			tool, on = t, o // `sudo mysql …`, `env X=1 curl …`
		}
	}
}

// takesSecret reports whether an option's next argument is a secret by the
// option's name: `--api-key x`, `-password x`. With a single dash, a word such
// as key means a file too often.
func (m *Masker) takesSecret(arg, next string) bool {
	name := strings.TrimLeft(arg, "-")
	if len(name) == len(arg) || m.option(next) || !m.secret(name) || path(arg, next) {
		return false
	}
	name = strings.ToLower(name)
	return strings.HasPrefix(arg, "--") || strings.Contains(name, "pass") || strings.Contains(name, "secret") || strings.Contains(name, "token")
}

// option reports whether a word after a secret's option is an option itself, and
// the secret is asked for or stands elsewhere. A password may begin with two
// dashes, so that alone is no proof: it has to be a setting (`--host=db`), the
// name of another secret, or an option that many programs have.
func (m *Masker) option(word string) bool {
	name, ok := strings.CutPrefix(word, "--")
	if !ok {
		return false
	}
	name, _, setting := strings.Cut(name, "=")
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz-_") != "" || name != "" && len(name) < 2 || strings.HasPrefix(name, "-") {
		return false
	}
	return name == "" && !setting || setting && name != "" || common[name] || m.secret(name) || strings.Contains(name, "password") || strings.Contains(name, "token")
}

// common are long options of many programs.
var common = func() map[string]bool {
	all := map[string]bool{}
	for _, name := range strings.Fields(`
		accept account address all api-key append archive auth batch bind body ca ca-file cacert capath cert check cluster color command compress
		config config-file connect connect-timeout context count create cookie daemon data data-raw database date db debug default delete depth detach
		directory dry-run dump email enable encoding endpoint env env-file exclude execute exec fail file filter follow follow-redirects force foreground
		format from get group head header headers help host hostname id image include info init input insecure interactive interval ip json
		key keep key-file level limit list location log log-file log-level login log-output machine mail max memory message method mode mount
		name namespace netrc network next no-auth no-cache no-check no-color no-confirm no-input no-password no-pager no-prompt no-verify
		no-verify-ssl non-interactive offline only options out outfile output page path pid pidfile pipe platform plain port prefix pretty
		print profile progress project prompt protocol proxy proxy-user pull push query quick quiet raw read realm recursive region registry
		remote remove request reset resolve restart retry role root run save schema scheme secure select server service show sign silent
		single-transaction size skip skip-verify socket source sql ssl ssl-mode start status stdin stop stdout strict subject subscription sync
		table tag target tenant test text time timeout tls tlsv to trace type uid unsafe update upload uri url use user user-agent
		username users validate value vault verbose verify version wait watch workdir working-directory write yes zone`) {
		all[name] = true
	}
	return all
}()

// share masks the password of `net use \\host\share password /user:name`, whose
// share is at, and returns the last argument looked at.
func (m *Masker) share(args []string, at int) int {
	for at+1 < len(args) {
		at++
		if a := args[at]; !strings.HasPrefix(a, "/") && a != "*" && !strings.Contains(a, kept) {
			args[at] = m.hide(a)
			return at
		}
	}
	return at
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
	arg = m.line(arg, 1)
	if len(masks) == 0 {
		return arg
	}
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(arg, kept)
		number, after, closed := strings.Cut(rest, kept)
		b.WriteString(before)
		n, err := strconv.Atoi(number)
		switch {
		case !ok:
			return b.String()
		case closed && err == nil && n >= 0 && n < len(masks):
			b.WriteString(masks[n])
			arg = after
		default:
			b.WriteString(kept)
			arg = rest
		}
	}
}

// line masks the words of a text, and keeps what stands between them.
func (m *Masker) line(text string, depth int) string {
	if masked := m.header(text); masked != text {
		return masked
	}
	words := split(text, depth == 1)
	if len(words) == 0 {
		return text
	}
	masked := append([]string(nil), words...)
	m.words(masked, depth)
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

// split parts a text at its white space; if quoted, not at what stands between
// two quotes. A quote without its fellow is an apostrophe.
func split(text string, quoted bool) []string {
	var words []string
	for {
		text = strings.TrimLeft(text, " \t\n")
		if text == "" {
			return words
		}
		end := 0
		for end < len(text) && text[end] != ' ' && text[end] != '\t' && text[end] != '\n' {
			if quoted && (text[end] == '"' || text[end] == '\'') {
				// Longer than this is no quoted secret, and would make the search for fellows dear.
				if n := strings.IndexByte(text[end+1:min(len(text), end+1+maxQuoted)], text[end]); n >= 0 {
					end += n + 1
				}
			}
			end++
		}
		words = append(words, text[:end])
		text = text[end:]
	}
}

// maxQuoted is how far the fellow of a quote is looked for.
const maxQuoted = 1024

// header masks the value of a header that carries a credential.
func (m *Masker) header(text string) string {
	name, value, ok := strings.Cut(text, ":")
	if !ok || value == "" || strings.ContainsAny(name, " /=") || strings.Contains(value, kept) {
		return text
	}
	if m.secret(name) {
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

// url masks the password of a URL's userinfo and the secrets of its query.
// host is where what follows "://" begins.
func (m *Masker) url(v string, host int) string {
	if from, to := userinfo(v, host); to > from {
		v = v[:from] + m.hide(v[from:to]) + v[to:]
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
