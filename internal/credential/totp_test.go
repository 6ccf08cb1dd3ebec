package credential

import (
	"bytes"
	"encoding/base32"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/boombuler/barcode/qr"
)

// rfc is the secret of RFC 6238, appendix B, and of RFC 4226, appendix D.
func rfc(t testing.TB) TOTP {
	t.Helper()
	secret, err := RestoreTOTP([]byte("12345678901234567890"))
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// The RFC's codes have 8 digits; the last 6 of them are the code of 6.
func TestCodesAreThoseOfTheRFCs(t *testing.T) {
	for _, tt := range []struct {
		unix int64
		want string
	}{
		{59, "94287082"}, {1111111109, "07081804"}, {1111111111, "14050471"},
		{1234567890, "89005924"}, {2000000000, "69279037"}, {20000000000, "65353130"},
	} {
		step, ok := rfc(t).Verify(tt.want[2:], time.Unix(tt.unix, 0), 0)
		if !ok || step != tt.unix/30 {
			t.Errorf("at %d: Verify(%s) = %d, %v, want step %d", tt.unix, tt.want[2:], step, ok, tt.unix/30)
		}
	}
	for step, want := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if got := rfc(t).code(int64(step)); string(got[:]) != want {
			t.Errorf("code of step %d = %s, want %s", step, got[:], want)
		}
	}
}

func TestACodeIsTakenOnceAndOneStepAroundNow(t *testing.T) {
	secret := rfc(t)
	const at = 50_000_000
	now := time.Unix(at*period+17, 0)
	of := func(step int64) string { c := secret.code(step); return string(c[:]) }
	for _, tt := range []struct {
		code string
		last int64
		step int64
		ok   bool
	}{
		{of(at), 0, at, true},
		{of(at - 1), 0, at - 1, true},
		{of(at + 1), 0, at + 1, true},
		{of(at - 2), 0, 0, false},
		{of(at + 2), 0, 0, false},
		{of(at), at - 1, at, true},
		{of(at), at, 0, false},     // again
		{of(at - 1), at, 0, false}, // an older one
		{of(at + 1), at, at + 1, true},
		{of(at + 1), at + 1, 0, false},
		{of(at), at + 1, 0, false},
		{of(at)[:3] + " " + of(at)[3:], 0, at, true},
		{" " + of(at)[:3] + "-" + of(at)[3:] + "\n", 0, at, true},
		{of(at)[:5], 0, 0, false},
		{of(at) + "0", 0, 0, false},
		{"0" + of(at), 0, 0, false},
		{"", 0, 0, false},
		{"abcdef", 0, 0, false},
		{"１２３４５６", 0, 0, false},
		{strings.Repeat(" ", maxTyped) + of(at), 0, 0, false},
	} {
		if step, ok := secret.Verify(tt.code, now, tt.last); step != tt.step || ok != tt.ok {
			t.Errorf("Verify(%q, last %d) = %d, %v, want %d, %v", tt.code, tt.last, step, ok, tt.step, tt.ok)
		}
	}
}

// Two steps in a row have the same code once in a million; the RFC's secret first at this one.
func TestACodeOfTwoStepsIsTakenOnce(t *testing.T) {
	const later = 910_738
	secret := rfc(t)
	code := secret.code(later)
	if secret.code(later-1) != code {
		t.Fatal("the steps have two codes")
	}
	for _, now := range []int64{later - 1, later} {
		step, ok := secret.Verify(string(code[:]), time.Unix(now*period, 0), 0)
		if !ok || step != later {
			t.Errorf("Verify = %d, %v, want the later step %d", step, ok, later)
		}
		if again, ok := secret.Verify(string(code[:]), time.Unix(now*period, 0), step); ok {
			t.Errorf("taken again, as step %d", again)
		}
	}
}

func TestASecretIsTypedScannedAndKept(t *testing.T) {
	secret := NewTOTP()
	again, err := RestoreTOTP(secret.Seed())
	if err != nil || again != secret || NewTOTP() == secret {
		t.Errorf("RestoreTOTP = %v; or two secrets are the same", err)
	}
	for _, n := range []int{0, 19, 21} {
		if _, err := RestoreTOTP(make([]byte, n)); err == nil {
			t.Errorf("a secret of %d bytes was restored", n)
		}
	}
	text := secret.Text().Reveal()
	if groups := strings.Split(text, " "); len(groups) != 8 || len(text) != 39 {
		t.Errorf("Text = %q, want 8 groups of 4", text)
	}
	seed, err := base32.StdEncoding.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil || !bytes.Equal(seed, secret.Seed()) {
		t.Errorf("Text decodes to %x, %v", seed, err)
	}
	if s := fmt.Sprintf("%v %+v %#v %s %v", secret, secret, secret, secret, secret.Text()); s != "*** *** *** *** ***" {
		t.Errorf("a secret prints as %s", s)
	}
}

func TestAURINamesIssuerAndAccount(t *testing.T) {
	secret := rfc(t)
	const key = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	for _, tt := range []struct{ issuer, account, want string }{
		{"Swab", "alice@example.com", "otpauth://totp/Swab:alice%40example.com?secret=" + key + "&issuer=Swab"},
		{"Contoso & Söhne +1", "a/b?c#d%e", "otpauth://totp/Contoso%20%26%20S%C3%B6hne%20%2B1:a%2Fb%3Fc%23d%25e?secret=" + key + "&issuer=Contoso%20%26%20S%C3%B6hne%20%2B1"},
		{"swab.example:8443", "x:y", "otpauth://totp/swab.example-8443:x-y?secret=" + key + "&issuer=swab.example-8443"},
	} {
		got := secret.URI(tt.issuer, tt.account).Reveal()
		if got != tt.want {
			t.Errorf("URI(%q, %q) = %s, want %s", tt.issuer, tt.account, got, tt.want)
		}
		u, err := url.Parse(got)
		if err != nil {
			t.Fatal(err)
		}
		issuer, account, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), ":")
		dash := func(s string) string { return strings.ReplaceAll(s, ":", "-") }
		if issuer != dash(tt.issuer) || account != dash(tt.account) || u.Query().Get("issuer") != issuer || u.Query().Get("secret") != key {
			t.Errorf("%s names %q and %q", got, issuer, account)
		}
	}
}

func TestAQRCodeStandsInAStrictPage(t *testing.T) {
	svg, err := rfc(t).QR("Contoso <b>\"&", "alice@example.com")
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{"xmlns": true, "role": true, "aria-label": true, "viewBox": true, "shape-rendering": true, "fill": true, "d": true}
	for dec := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok {
			if n := start.Name.Local; n != "svg" && n != "path" {
				t.Errorf("element %s", n)
			}
			for _, a := range start.Attr {
				if !allowed[a.Name.Local] {
					t.Errorf("attribute %s", a.Name.Local)
				}
			}
		}
	}
	drawn := map[[2]int]bool{}
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`).FindAllSubmatch(svg, -1) {
		var n [4]int
		for i := range n {
			n[i], _ = strconv.Atoi(string(m[i+1]))
		}
		for x := range n[2] {
			drawn[[2]int{n[0] + x - quiet, n[1] - quiet}] = true
		}
		if n[2] != n[3] {
			t.Errorf("not closed: %s", m[0])
		}
	}
	code, err := qr.Encode(rfc(t).URI("Contoso <b>\"&", "alice@example.com").Reveal(), qr.M, qr.Unicode)
	if err != nil {
		t.Fatal(err)
	}
	size := code.Bounds().Dx()
	if !bytes.Contains(svg, fmt.Appendf(nil, `viewBox="0 0 %[1]d %[1]d"`, size+8)) {
		t.Errorf("not of %d modules and 4 of white around: %.200s", size, svg)
	}
	for y := -quiet; y < size+quiet; y++ {
		for x := -quiet; x < size+quiet; x++ {
			black := image.Pt(x, y).In(code.Bounds()) && code.At(x, y) == color.Black
			if drawn[[2]int{x, y}] != black {
				t.Fatalf("at %d, %d black is %v", x, y, !black)
			}
		}
	}
	if long, err := rfc(t).QR(strings.Repeat("x", 300), "alice"); err == nil || long != nil {
		t.Errorf("a URI over the bound was drawn, %v", err)
	}
	if _, err := rfc(t).QR(strings.Repeat("x", 100), strings.Repeat("y", 100)); err != nil {
		t.Errorf("names of 100 letters: %v", err)
	}
}

func FuzzTOTP(f *testing.F) {
	f.Add("287082", int64(59), int64(0))
	f.Add("287 082", int64(-1), int64(-9))
	f.Fuzz(func(t *testing.T, code string, unix, last int64) {
		step, ok := rfc(t).Verify(code, time.Unix(unix, 0), last)
		if !ok {
			if step != 0 {
				t.Errorf("refused, and step %d", step)
			}
			return
		}
		if want := rfc(t).code(step); step <= last || step < unix/period-1 || step > unix/period+1 || typed(code, "0123456789", digits) != string(want[:]) {
			t.Errorf("Verify(%q, %d, %d) took step %d", code, unix, last, step)
		}
	})
}

func BenchmarkTOTP(b *testing.B) {
	secret := rfc(b)
	for b.Loop() {
		secret.Verify("123456", time.Unix(59, 0), 0)
	}
}

func BenchmarkQR(b *testing.B) {
	secret := rfc(b)
	var svg []byte
	for b.Loop() {
		svg, _ = secret.QR("Contoso", "alice@contoso.example")
	}
	b.ReportMetric(float64(len(svg)), "bytes")
}
