package mask

import "strings"

// Bounds of the verdicts that are remembered: the longest name, and how many.
// A process may hold any number of texts that look like names.
const (
	maxCached = 64
	maxNames  = 1 << 14
)

// secret reports whether a name is that of a secret.
func (m *Masker) secret(name string) bool {
	if v, ok := m.names.Load(name); ok {
		return v.(bool)
	}
	is := secretName(name)
	if len(name) <= maxCached && m.count.Load() < maxNames {
		m.count.Add(1)
		m.names.Store(strings.Clone(name), is)
	}
	return is
}

// path reports whether a "key" is where a key lies, rather than one: that is
// evidence.
func path(name, value string) bool {
	return strings.HasSuffix(strings.ToLower(name), "key") && strings.HasPrefix(value, "/") && !strings.ContainsAny(value, "+=: ")
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
	wordsEnd = []string{"pass", "pwd", "pw", "psk", "key", "auth", "jwt", "dsn", "pat", "salt", "otp", "pin", "authorization"}
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
			return last != "file" && last != "path" && last != "dir" && last != "stdin" && last != "url" && last != "uri" && last != "jar"
		}
	}
	last := parts[len(parts)-1]
	for _, w := range wordsEnd {
		if last == w || len(low) <= len(w)+8 && strings.HasSuffix(low, w) && (w == "pass" || w == "pwd" || w == "pw") {
			return true
		}
	}
	return false
}
