package credential

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"swab/internal/fault"
)

func TestPasswordsThatAreGoodEnough(t *testing.T) {
	for _, password := range []string{
		right,
		"otter gravel lamp quietly",
		"Tr0ub4dor&3-hedgehog",
		"kZ8#fQ2!vLp9",
		"korrekte Pferde klammern",
		"пароль из многих слов",
		"馬電池正高山流水落花生星", // 12 characters
		"🐎🔋📎✅🌲🎻🍋🚲🧭🪁🎈🧊", // the same of other planes
		" k Z 8 f Q 2", // blanks count like others
		"the dean of summer",
		"alphabet soup abcdef",
		"2718281828459045 is e, roughly",
		strings.Repeat("correct horse, ", 69)[:maxPassword], // what repeats is long enough itself
		"aliceandbob's third rabbit hole",
		"bo knows what it takes to go far",
	} {
		for _, user := range []string{"", "mallory@example.com", "bo", "@", "@example.com"} {
			if err := CheckPassword(password, user); err != nil {
				t.Errorf("CheckPassword(%q, %q) = %v", password, user, err)
			}
		}
	}
}

func TestPasswordsThatAreRefused(t *testing.T) {
	const (
		short, long, untypable = "at least 12", "more than 1024 bytes", "control characters"
		name, piece, walk      = "user name", "over and over", "rows of a keyboard"
		number, first          = "digits alone", "guessed first"
	)
	for _, tt := range []struct{ password, want string }{
		{"", short},
		{"kZ8#fQ2!vLp", short},
		{"a\u0301e\u0301i\u0301o\u0301u\u0301y\u0301", short}, // 12 code points as typed, 6 composed
		{"ééééé", short},
		{strings.Repeat("correct horse", 100), long},
		{right + "\n", untypable},
		{right + "\x00", untypable},
		{right + "\xff", untypable},
		{"alice.liddell@example.com", name},
		{"I am Alice.Liddell!", name},
		{"xxALICE.LIDDELLxx", name},
		{"aaaaaaaaaaaa", piece},
		{"            ", piece},
		{"xyxyxyxyxyxyx", piece},
		{"otterotterotter", piece},
		{"Otter7!otter7!", piece},
		{"🐎🐎🐎🐎🐎🐎🐎🐎🐎🐎🐎🐎", piece},
		{"123456789012", walk},
		{"0987654321098", walk},
		{"abcdefghijklmnop", walk},
		{"ZYXWVUTSRQPO", walk},
		{"qwertyuiop[]", walk},
		{"qwertzuiopasdfghjkl", walk},
		{"azertyuiopqsdfg", walk},
		{"1qaz2wsx3edc", walk},
		{"zaq1xsw2cde3", walk},
		{"1q2w3e4r5t6y", walk},
		{"qweasdzxc123", walk},
		{"aaaabbbbcccc", walk},
		{"111122223333", walk},
		{"!@#$%^&*()_+", walk},
		{"qwer1234ASDF", walk},
		{"199012241984", number},
		{"0170-4839-2716", number},
		{"Password2024!", first},
		{"p@ssw0rd2024", first},
		{"P4$$w0rd!!!!", first},
		{"2024Password?", first},
		{"pass2024word!", first},
		{"Winter-Summer-24", first},
		{"administrator", first},
		{"Administrator1", first},
		{"changeme2026!", first},
		{"correcthorsebatterystaple", first},
		{"Correct Horse Battery Staple", first},
		{"I love you forever", first},
		{"swabadmin2026", first},
		{"thisismypassword", first},
		{"Motdepasse123", first},
	} {
		err := CheckPassword(tt.password, "Alice.Liddell@example.com")
		if !errors.Is(err, fault.InvalidInput) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("CheckPassword(%.40q) = %v, want %q", tt.password, err, tt.want)
			continue
		}
		if p := strings.TrimSpace(tt.password); p != "" && strings.Contains(err.Error(), p) {
			t.Errorf("the refusal of %q repeats it: %v", tt.password, err)
		}
		if !strings.Contains(err.Error(), "; ") {
			t.Errorf("the refusal of %.40q does not say what to do: %v", tt.password, err)
		}
	}
}

// A listed word that the rules before it refuse, or that folding changes, would
// never be found.
func TestListedWordsAreFound(t *testing.T) {
	if n := len(commonWords); n < 200 {
		t.Errorf("%d words are listed", n)
	}
	for word := range commonWords {
		if !common(word) || !common(word+"-"+word+"2024") {
			t.Errorf("%q is listed, and not found", word)
		}
		if len(word) > maxWord {
			t.Errorf("%q has more than %d bytes", word, maxWord)
		}
	}
}

func TestInitialPasswordsAreGoodEnough(t *testing.T) {
	if bits := 18 * math.Log2(float64(len(readable))); bits < 80 {
		t.Errorf("%.1f bits", bits)
	}
	seen, used := map[string]bool{}, map[rune]bool{}
	for range 2000 {
		p := NewPassword()
		text := p.Reveal()
		if err := CheckPassword(text, "alice@example.com"); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if len(text) != 20 || text[6] != '-' || text[13] != '-' || seen[text] {
			t.Errorf("an initial password: %s", text)
		}
		seen[text] = true
		for _, r := range text {
			used[r] = true
		}
		if s := fmt.Sprintf("%v %+v %#v %s", p, p, p, p); strings.Contains(s, text) {
			t.Errorf("it prints as %s", s)
		}
	}
	if strings.ContainsAny(readable, "01ilo") || len(used) != len(readable)+1 {
		t.Errorf("%d characters were used of %q and -", len(used), readable)
	}
}

func FuzzPassword(f *testing.F) {
	f.Add(right, "alice@example.com")
	f.Add("Password2024!", "")
	f.Add("1q2w3e4r5t6y", "@")
	f.Add("ééééééééééééé", "é")
	f.Fuzz(func(t *testing.T, password, user string) {
		err := CheckPassword(password, user)
		if err != nil && !errors.Is(err, fault.InvalidInput) {
			t.Errorf("CheckPassword(%q, %q) = %v", password, user, err)
		}
		if err == nil && (utf8.RuneCountInString(password) < minCharacters || len(password) > maxPassword || !utf8.ValidString(password)) {
			t.Errorf("CheckPassword(%q, %q) took it", password, user)
		}
	})
}

func BenchmarkCheckPassword(b *testing.B) {
	longest := strings.Repeat("correct horse, ", 69)[:maxPassword]
	for b.Loop() {
		if err := CheckPassword(longest, "alice@example.com"); err != nil {
			b.Fatal(err)
		}
	}
}
