package wire

import (
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/device"
)

func someKey(b byte) ed25519.PublicKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = b
	return ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
}

func someEnrolRequest() EnrolRequest {
	return EnrolRequest{
		ClientName: "db1.example.org", AuthMethod: AuthMethod, GrantTypes: []string{GrantType},
		Keys: JWKSet{Keys: []JWK{JWKOf(someKey(1))}}, SoftwareVersion: "0.1.0",
		Facts:   device.Facts{Name: "db1.example.org", System: "linux", Addresses: []device.Address{{IP: "192.0.2.7"}}},
		Catalog: Digest("sha256:" + strings.Repeat("ab", 32)),
	}
}

func someEnrolAnswer() EnrolAnswer {
	return EnrolAnswer{
		ClientID: device.IDOf(someKey(1)), IssuedAt: 1_764_000_000, ClientName: "db1.example.org",
		Keys: JWKSet{Keys: []JWK{JWKOf(someKey(1))}}, AuthMethod: AuthMethod,
		Tenant: "12345678-1234-4234-8234-123456789abc", LogKey: someKey(2), ReceiptKey: someKey(3), RecoveryKey: someKey(4),
	}
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEnrolmentReadsWhatItWrites(t *testing.T) {
	req := someEnrolRequest()
	got, err := ParseEnrolRequest(mustJSON(t, req))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(req, got); d != "" {
		t.Errorf("request (-want +got):\n%s", d)
	}
	ans := someEnrolAnswer()
	gotAns, err := ParseEnrolAnswer(mustJSON(t, ans))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(ans, gotAns); d != "" {
		t.Errorf("answer (-want +got):\n%s", d)
	}
}

func TestEnrolRequestPassesOverUnknownFields(t *testing.T) {
	b := mustJSON(t, someEnrolRequest())
	b = append([]byte(`{"contacts":["x"],`), b[1:]...)
	if _, err := ParseEnrolRequest(b); err != nil {
		t.Errorf("ParseEnrolRequest with a field of RFC 7591: %v", err)
	}
}

func TestEnrolRequestIsRefusedUnlessItIsADevices(t *testing.T) {
	for name, spoil := range map[string]func(*EnrolRequest){
		"secret as method": func(r *EnrolRequest) { r.AuthMethod = "client_secret_basic" },
		"other grant":      func(r *EnrolRequest) { r.GrantTypes = []string{GrantType, "password"} },
		"no key":           func(r *EnrolRequest) { r.Keys.Keys = nil },
		"two keys":         func(r *EnrolRequest) { r.Keys.Keys = append(r.Keys.Keys, JWKOf(someKey(2))) },
		"RSA":              func(r *EnrolRequest) { r.Keys.Keys[0].Kty = "RSA" },
		"short key":        func(r *EnrolRequest) { r.Keys.Keys[0].X = "AAAA" },
		"padded key":       func(r *EnrolRequest) { r.Keys.Keys[0].X += "=" },
		"loose last bits":  func(r *EnrolRequest) { r.Keys.Keys[0].X = strings.Repeat("A", 42) + "B" },
		"long name":        func(r *EnrolRequest) { r.ClientName = strings.Repeat("a", maxText+1) },
		"no catalogue":     func(r *EnrolRequest) { r.Catalog = "" },
	} {
		r := someEnrolRequest()
		spoil(&r)
		if _, err := ParseEnrolRequest(mustJSON(t, r)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestEnrolAnswerIsRefusedUnlessItPinsEverything(t *testing.T) {
	for name, spoil := range map[string]func(*EnrolAnswer){
		"no log key":      func(a *EnrolAnswer) { a.LogKey = nil },
		"no receipt key":  func(a *EnrolAnswer) { a.ReceiptKey = nil },
		"no recovery key": func(a *EnrolAnswer) { a.RecoveryKey = a.RecoveryKey[1:] },
		"tenant is text":  func(a *EnrolAnswer) { a.Tenant = "../etc" },
		"id of no key":    func(a *EnrolAnswer) { a.ClientID = device.IDOf(someKey(9)) },
		"id is a path":    func(a *EnrolAnswer) { a.ClientID = "../../x" },
	} {
		a := someEnrolAnswer()
		spoil(&a)
		if _, err := ParseEnrolAnswer(mustJSON(t, a)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestTokenAnswerIsRefusedUnlessBoundToAKey(t *testing.T) {
	good := TokenAnswer{AccessToken: "a.b.c", TokenType: "DPoP", ExpiresIn: 600}
	if _, err := ParseTokenAnswer(mustJSON(t, good)); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]TokenAnswer{
		"bearer":        {AccessToken: "a", TokenType: "Bearer", ExpiresIn: 600},
		"no life":       {AccessToken: "a", TokenType: "DPoP"},
		"for ever":      {AccessToken: "a", TokenType: "DPoP", ExpiresIn: 1 << 40},
		"line break":    {AccessToken: "a\r\nX: y", TokenType: "DPoP", ExpiresIn: 600},
		"nothing":       {TokenType: "DPoP", ExpiresIn: 600},
		"over the size": {AccessToken: strings.Repeat("a", MaxToken+1), TokenType: "DPoP", ExpiresIn: 600},
	} {
		if _, err := ParseTokenAnswer(mustJSON(t, bad)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func FuzzEnrol(f *testing.F) {
	f.Add(mustJSON(f, someEnrolRequest()))
	f.Add(mustJSON(f, someEnrolAnswer()))
	f.Add([]byte(`{"access_token":"a","token_type":"DPoP","expires_in":600}`))
	f.Add([]byte(`{"error":"use_dpop_nonce"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := ParseEnrolRequest(data); err == nil {
			if _, err := ParseEnrolRequest(mustJSON(t, r)); err != nil {
				t.Errorf("a request that was taken is refused when written again: %v", err)
			}
		}
		if a, err := ParseEnrolAnswer(data); err == nil {
			if _, err := ParseEnrolAnswer(mustJSON(t, a)); err != nil {
				t.Errorf("an answer that was taken is refused when written again: %v", err)
			}
		}
		_, _ = ParseTokenAnswer(data)
		_, _ = ParseErrorAnswer(data)
	})
}
