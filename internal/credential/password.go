package credential

import (
	_ "embed"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"swab/internal/fault"
)

// Bounds of a password. SP 800-63B-4 asks for 15 characters where it is the only
// factor and for 8 beside a second. Ours is between the two, whichever it is.
const (
	minCharacters = 12      // code points, in Unicode's composed form
	maxPassword   = 1 << 10 // bytes, as typed: 256 characters of any script
	minName       = 4       // characters of a user name that are no accident in a password
)

var errLong = fault.InvalidInput.Errorf(nil, "The password has more than %d bytes; choose a shorter one", maxPassword)

// NewPassword makes an initial password: 18 letters and digits that are not
// taken for one another, in groups, which is 89 random bits.
func NewPassword() Clear { return Clear{random(readable, 3, 6)} }

// CheckPassword is nil if a password is good enough for the user of that name,
// else an error with fault.InvalidInput that says what to do. It asks for length
// and for something that guessers don't try first. It does not ask for kinds of
// characters, which people meet in ways that guessers know (NIST SP 800-63B).
func CheckPassword(password, user string) error {
	refuse := fault.InvalidInput.Errorf
	if len(password) > maxPassword {
		return errLong
	}
	if !utf8.ValidString(password) || strings.ContainsFunc(password, unicode.IsControl) {
		return refuse(nil, "The password holds control characters, or bytes that are no UTF-8, which can't be typed everywhere; leave them out")
	}
	password = norm.NFC.String(password)
	text := []rune(strings.ToLower(password))
	if n := utf8.RuneCountInString(password); n < minCharacters {
		return refuse(nil, "The password has %d characters; choose one of at least %d, such as four words that have nothing to do with each other", n, minCharacters)
	}
	switch {
	case names(string(text), user):
		return refuse(nil, "The password holds the user name; choose one that can't be told from it")
	case repeats(text):
		return refuse(nil, "The password is a short piece over and over; choose one that doesn't repeat itself, such as four words that have nothing to do with each other")
	case walks(text):
		return refuse(nil, "The password follows the alphabet, the digits or rows of a keyboard; choose one without such sequences, such as four words that have nothing to do with each other")
	case !strings.ContainsFunc(string(text), unicode.IsLetter) && strings.ContainsFunc(string(text), unicode.IsDigit):
		return refuse(nil, "The password is digits alone, which are guessed as dates and telephone numbers; add words")
	case common(string(text)):
		return refuse(nil, "The password is one of those that are guessed first; choose words that have nothing to do with each other, with the computer or with what is easily known of you")
	}
	return nil
}

// names says whether a text holds the user name or what of it stands before the
// @. A name that is too short to tell anything is looked for whole.
func names(text, user string) bool {
	user = strings.ToLower(norm.NFC.String(user))
	name, _, _ := strings.Cut(user, "@")
	if utf8.RuneCountInString(name) < minName {
		name = user
	}
	return utf8.RuneCountInString(name) >= minName && strings.Contains(text, name)
}

// repeats says whether a text is a piece, itself too short for a password, twice
// or more; the last may be cut off.
func repeats(text []rune) bool {
	for period := 1; period < minCharacters && 2*period <= len(text); period++ {
		again := true
		for i := period; i < len(text) && again; i++ {
			again = text[i] == text[i-period]
		}
		if again {
			return true
		}
	}
	return false
}

// lines are what hands and memory follow, in either direction: the alphabet, the
// digits, and the rows and columns of keyboards.
var lines = []string{
	"abcdefghijklmnopqrstuvwxyz", "01234567890", "!@#$%^&*()_+",
	"qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./", "qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm", "wxcvbn",
	"1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "8ik,", "9ol.", "0p;/",
}

// steps are, for two characters, the lines and directions in which the second
// follows the first, as bits.
var steps = func() map[[2]rune]uint64 {
	m := map[[2]rune]uint64{}
	for n, line := range lines {
		for i := range len(line) - 1 {
			a, b := rune(line[i]), rune(line[i+1])
			m[[2]rune{a, b}] |= 1 << (2 * n)
			m[[2]rune{b, a}] |= 2 << (2 * n)
		}
	}
	return m
}()

// same is the bit of a character that follows itself. The lines have those below.
const same = 1 << 63

// runs is how many pieces a text has, each of which follows one line in one
// direction or is one character again and again.
func runs(text []rune) int {
	n, on := 1, ^uint64(0)
	for i := 1; i < len(text); i++ {
		step := steps[[2]rune{text[i-1], text[i]}]
		if text[i-1] == text[i] {
			step = same
		}
		if on &= step; on == 0 {
			n, on = n+1, ^uint64(0)
		}
	}
	return n
}

// walks says whether a text is made of runs of three characters and more on
// average, by itself or as two texts that take turns (1q2w3e4r5t6y). Words have
// little more than one character to a run.
func walks(text []rune) bool {
	var turns [2][]rune
	for i, r := range text {
		turns[i%2] = append(turns[i%2], r)
	}
	return min(runs(text), runs(turns[0])+runs(turns[1])) <= len(text)/3
}

// commonText is what the passwords are made of that are guessed first: words and
// phrases, in small letters without blanks, separated by white space.
//
//go:embed common.txt
var commonText string

var commonWords = func() map[string]bool {
	m := map[string]bool{}
	for word := range strings.FieldsSeq(commonText) {
		m[word] = true
	}
	return m
}()

// maxWord bounds a common word: bytes.
const maxWord = 40

// unswapped turns back what stands for a letter.
var unswapped = strings.NewReplacer("0", "o", "1", "i", "!", "i", "3", "e", "4", "a", "@", "a", "5", "s", "$", "s", "7", "t")

// common says whether the letters of a text in small letters are one or two of
// the common words, whatever digits and signs are around or between them, and
// whether or not some stand for letters.
func common(text string) bool {
	bare := func(r rune) bool { return !unicode.IsLetter(r) }
	core := strings.TrimFunc(text, func(r rune) bool { return bare(r) && r != '@' && r != '$' })
	for _, word := range []string{text, core, unswapped.Replace(core), unswapped.Replace(text)} {
		word = strings.Map(func(r rune) rune {
			if bare(r) {
				return -1
			}
			return r
		}, word)
		if commonWords[word] {
			return true
		}
		if len(word) > 2*maxWord {
			continue
		}
		for i := range word {
			if commonWords[word[:i]] && commonWords[word[i:]] {
				return true
			}
		}
	}
	return false
}
