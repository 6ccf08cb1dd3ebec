package credential

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// What every authenticator app assumes (RFC 6238 with SHA-1), so no URI says it.
const (
	period = 30 // seconds a step
	digits = 6
	window = 1 // steps that a clock may be off, in either direction
)

// seedSize is the length that RFC 4226 recommends, SHA-1's own.
const seedSize = 20

// TOTP is the secret that a person's authenticator app and the server share. It
// prints as ***.
type TOTP struct{ seed [seedSize]byte }

// NewTOTP makes a secret of 160 random bits.
func NewTOTP() TOTP {
	var t TOTP
	rand.Read(t.seed[:]) // never fails (crypto/rand)
	return t
}

// RestoreTOTP returns the secret whose Seed was kept.
func RestoreTOTP(seed []byte) (TOTP, error) {
	if len(seed) != seedSize {
		return TOTP{}, fmt.Errorf("credential: a TOTP secret has %d bytes, and this one %d", seedSize, len(seed))
	}
	return TOTP{[seedSize]byte(seed)}, nil
}

// Seed is the secret's 20 bytes, to be kept under a key: who has them has the
// second factor.
func (t TOTP) Seed() []byte { return t.seed[:] }

// Text is the secret as one types it into an app: base32, in groups of 4.
func (t TOTP) Text() Clear {
	text := t.base32()
	var groups []string
	for ; len(text) > 4; text = text[4:] {
		groups = append(groups, text[:4])
	}
	return Clear{strings.Join(append(groups, text), " ")}
}

// URI is the secret as an app scans it: otpauth://totp/ISSUER:ACCOUNT?secret=…
// (Google's Key Uri Format). Issuer and account are the names under which the
// app shows it, neither of them empty; a colon in one becomes a dash, since it
// is what parts the two.
func (t TOTP) URI(issuer, account string) Clear {
	issuer, account = label(issuer), label(account)
	return Clear{"otpauth://totp/" + issuer + ":" + account + "?secret=" + t.base32() + "&issuer=" + issuer}
}

// label escapes a name for the path and the query alike: some apps take a + for
// itself and others for a blank, so there is none.
func label(name string) string {
	return strings.ReplaceAll(url.QueryEscape(strings.ReplaceAll(name, ":", "-")), "+", "%20")
}

func (t TOTP) base32() string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(t.seed[:])
}

// Verify says whether a code, typed with blanks or without, is one that the app
// may show now, and of which step. A code of the last step that was taken, or of
// an earlier one, is refused: whoever looked over a shoulder comes too late.
// last is 0 if none was taken yet. The caller keeps step as the new last in one
// change that only succeeds where last is still what it was, or two could use
// one code at the same time. Which step matched, if any, does not show in the
// time it takes.
func (t TOTP) Verify(code string, now time.Time, last int64) (step int64, ok bool) {
	code = typed(code, "0123456789", digits)
	if code == "" {
		return 0, false
	}
	at, found := now.Unix()/period, 0
	// Two steps can have one code. The later one counts: were it the earlier, the
	// code would be good a second time.
	for s := at - window; s <= at+window; s++ {
		want := t.code(s)
		later := 0
		if s > last { // no secret
			later = 1
		}
		hit := subtle.ConstantTimeCompare([]byte(code), want[:]) & later
		step = step&^-int64(hit) | s&-int64(hit)
		found |= hit
	}
	return step, found == 1
}

// code is the code of a step (RFC 4226, section 5.3).
func (t TOTP) code(step int64) (text [digits]byte) {
	mac := hmac.New(sha1.New, t.seed[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	sum := mac.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&0xf:]) &^ (1 << 31)
	for i := digits - 1; i >= 0; i-- {
		text[i] = '0' + byte(n%10)
		n /= 10
	}
	return text
}

func (t TOTP) String() string   { return "***" }
func (t TOTP) GoString() string { return "***" }

// MarshalText keeps the secret out of whatever is encoded in passing.
func (t TOTP) MarshalText() ([]byte, error) { return []byte("***"), nil }
