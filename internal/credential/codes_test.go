package credential

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestRecoveryCodesAreMatchedHoweverTyped(t *testing.T) {
	codes, hashes := NewRecoveryCodes()
	if len(codes) != 10 || len(hashes) != 10 {
		t.Fatalf("%d codes and %d hashes", len(codes), len(hashes))
	}
	if bits := 16 * math.Log2(float64(len(readable))); bits < 50 {
		t.Errorf("%.1f bits", bits)
	}
	for i, c := range codes {
		code := c.Reveal()
		if len(code) != 17 || code[8] != '-' || strings.Trim(code, readable+"-") != "" {
			t.Errorf("a code: %s", code)
		}
		bare := strings.ReplaceAll(code, "-", "")
		for _, typed := range []string{code, bare, strings.ToUpper(code), " " + code + "\r\n", bare[:4] + " " + bare[4:8] + " – " + bare[8:], bare[:3] + "‑" + bare[3:], "\u00a0" + code} {
			if got := MatchRecovery(typed, hashes); got != i {
				t.Errorf("MatchRecovery(%q) = %d, want %d", typed, got, i)
			}
		}
		if got := MatchRecovery(code, slices.Delete(slices.Clone(hashes), i, i+1)); got != -1 {
			t.Errorf("a code whose hash is gone matches %d", got)
		}
		if s := fmt.Sprint(c); s != "***" {
			t.Errorf("it prints as %s", s)
		}
	}
}

func TestWhatIsNoRecoveryCodeMatchesNone(t *testing.T) {
	codes, hashes := NewRecoveryCodes()
	code := codes[0].Reveal()
	hashes = append(hashes, sha256.Sum256(nil)) // as if the empty text were one
	for _, typed := range []string{"", "-", " ", code[:16], code + "2", "0" + code[1:], code[:8] + "_" + code[9:], strings.Repeat("-", maxTyped) + code, "ｋ" + code[1:]} {
		if got := MatchRecovery(typed, hashes); got != -1 {
			t.Errorf("MatchRecovery(%q) = %d", typed, got)
		}
	}
	if got := MatchRecovery(code, nil); got != -1 {
		t.Errorf("MatchRecovery of no hashes = %d", got)
	}
}

func TestUserCodesAreReadHoweverTyped(t *testing.T) {
	if bits := 8 * math.Log2(float64(len(userLetters))); bits < 34 {
		t.Errorf("%.1f bits", bits)
	}
	for _, typed := range []string{"WDJB-MJHT", "wdjb-mjht", "WDJBMJHT", " wdjb mjht ", "W D J B M J H T", "wdjb—mjht", "wdjb−mjht", "--WDJB\tMJHT--"} {
		if code, ok := ParseUserCode(typed); !ok || code != "WDJB-MJHT" {
			t.Errorf("ParseUserCode(%q) = %q, %v", typed, code, ok)
		}
	}
	for _, typed := range []string{"", "-", "WDJB-MJH", "WDJB-MJHTT", "ADJB-MJHT", "WDJB-MJH1", "WDJB_MJHT", "WDJB.MJHT", "wdjb-mjhſ", "ẆDJB-MJHT", strings.Repeat(" ", maxTyped) + "WDJB-MJHT"} {
		if code, ok := ParseUserCode(typed); ok || code != "" {
			t.Errorf("ParseUserCode(%q) = %q, %v", typed, code, ok)
		}
	}
	seen, used := map[UserCode]bool{}, map[rune]bool{}
	for range 1000 {
		code := NewUserCode()
		if again, ok := ParseUserCode(string(code)); !ok || again != code {
			t.Errorf("NewUserCode = %q, read as %q, %v", code, again, ok)
		}
		seen[code] = true
		for _, r := range code {
			used[r] = true
		}
	}
	if len(used) != len(userLetters)+1 || len(seen) < 999 {
		t.Errorf("%d codes of %d characters", len(seen), len(used))
	}
}

// Of 310,000 characters each of 31 is met 10,000 times, give or take 98.
func TestCharactersAreEquallyLikely(t *testing.T) {
	count := map[rune]int{}
	for _, r := range random(readable, 1, 310_000) {
		count[r]++
	}
	for _, r := range readable {
		if n := count[r]; n < 10_000-690 || n > 10_000+690 { // seven times that
			t.Errorf("%c was drawn %d times of 310,000", r, n)
		}
	}
}

func FuzzCodes(f *testing.F) {
	codes, hashes := NewRecoveryCodes()
	f.Add("wdjb-mjht")
	f.Add("2345 6789–abcd efgh")
	f.Add(codes[3].Reveal())
	f.Fuzz(func(t *testing.T, text string) {
		if code, ok := ParseUserCode(text); ok {
			if again, ok := ParseUserCode(string(code)); !ok || again != code || len(code) != 9 {
				t.Errorf("ParseUserCode(%q) = %q, and of that %q, %v", text, code, again, ok)
			}
		}
		at := MatchRecovery(text, hashes)
		if want := slices.IndexFunc(codes, func(c Clear) bool { return typedRecovery(c.Reveal()) == typedRecovery(text) }); at != want {
			t.Errorf("MatchRecovery(%q) = %d, want %d", text, at, want)
		}
	})
}
