package credential

import "strings"

// userLetters are consonants (RFC 8628, section 6.1): easy to type on every
// keyboard, and no words come of them.
const userLetters = "BCDFGHJKLMNPQRSTVWXZ"

// UserCode is what a device shows and its user types in a browser, to say that
// the two belong together: WDJB-MJHT. It is 34 random bits, so it needs a short
// life and a bound on how often one may guess.
type UserCode string

// NewUserCode makes a code.
func NewUserCode() UserCode { return UserCode(random(userLetters, 2, 4)) }

// ParseUserCode returns the code that was meant, in the form in which it was
// shown, and whether it can be one. Blanks, dashes and small letters make no
// difference.
func ParseUserCode(text string) (UserCode, bool) {
	code := strings.ToUpper(typed(text, strings.ToLower(userLetters), 8))
	if code == "" {
		return "", false
	}
	return UserCode(code[:4] + "-" + code[4:]), true
}
