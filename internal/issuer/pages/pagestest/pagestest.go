// Package pagestest has every page of package pages, filled in, for tests of how
// they read and look.
package pagestest

import (
	"bytes"
	"strings"
	"sync"
	"time"

	"swab/internal/credential"
	"swab/internal/issuer/pages"
)

// Sample is a page, filled in.
type Sample struct {
	Name string // of the page, and what is special about it
	Page pages.Page
}

// Now is the time at which the samples are looked at.
var Now = time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)

// Text is what others than the program put on a page.
type Text struct{ Tenant, Application, Name, Principal, Group, Agent, Address string }

// Plain is as things usually are.
var Plain = Text{
	"corp.example", "Incident console", "Ann Example", "ann@corp.example", "Responders",
	"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "192.0.2.17",
}

// Hostile is what somebody would try.
var Hostile = Text{
	Tenant:      strings.Repeat("tenant", 10) + ".example",
	Application: `"><script>alert(1)</script><img src=x onerror=alert(2)>` + strings.Repeat("W", 145),
	Name:        "\u202egro.live \u2067אבג \u202dabc\x1b[31m\x00" + strings.Repeat("ש", 160) + "</strong></bdi></main>{{.}}",
	Principal:   strings.Repeat("a", 180) + "'\" autofocus onfocus=alert(3) x=\"@corp.example",
	Group:       "</dd></dl><form action=https://attacker.example><input name=password>\xff\xfe" + strings.Repeat("ﷺ", 40),
	Agent:       "<style>*{display:none}</style>\u202e" + strings.Repeat("curl/8 ", 500),
	Address:     "javascript:alert(4)",
}

// secret is that of two-step verification, and qr how it is shown: the same in
// every run.
var (
	secret = func() credential.TOTP {
		t, err := credential.RestoreTOTP(bytes.Repeat([]byte("swab"), 5))
		if err != nil {
			panic(err)
		}
		return t
	}()
	qr = sync.OnceValue(func() []byte {
		svg, err := secret.QR("Swab", "ann@corp.example")
		if err != nil {
			panic(err)
		}
		return svg
	})
)

// Samples are all pages, each as it is usually, and again as it is else.
func Samples(text Text) []Sample {
	form := pages.Form{
		Action: "/" + text.Tenant + "/signin", Redirect: "https://console.corp.example/signed-in",
		Hidden: []pages.Field{{Name: "state", Value: "k2T9v0"}, {Name: "guard", Value: "Qm4xw7"}},
	}
	own := form
	own.Redirect = ""
	account := pages.Account{
		Form: own, Tenant: text.Tenant, Name: text.Name, Principal: text.Principal, Groups: []string{text.Group, "Everyone"},
		PasswordChanged: Now.Add(-40 * 24 * time.Hour), PasswordPage: "/account/password",
		SetUpPage: "/account/two-step", RecoveryPage: "/account/recovery", RemovePage: "/account/remove",
		Sessions: []pages.Session{
			{ID: "s1", Agent: text.Agent, Address: text.Address, Began: Now.Add(-2 * time.Hour), Used: Now, This: true},
			{ID: "s2", Application: text.Application, Agent: "python-requests/2.32.3", Address: "2001:db8:85a3:8d3:1319:8a2e:370:7348", Began: Now.Add(-26 * time.Hour), Used: Now.Add(-25 * time.Minute)},
			{ID: "s3", Address: "198.51.100.4", Began: Now.Add(-72 * time.Hour), Used: Now.Add(-71 * time.Hour)},
		},
		Now: Now,
	}
	protected := account
	protected.TwoStep, protected.Recovery, protected.Notice = true, 9, "Two-step verification is on."
	last := protected
	last.Recovery, last.Notice, last.Sessions = 0, "", account.Sessions[:1]
	setUp := pages.TwoStepSetup{
		Form: own, Tenant: text.Tenant, Principal: text.Principal, QR: qr(), Secret: secret.Text().Reveal(), Cancel: "/account",
	}
	typed := setUp
	typed.QR, typed.Must, typed.Cancel = nil, true, ""
	typed.Problem = pages.Problem{Text: "The code is wrong, or its time is over. Type the one that the app shows now.", Field: pages.FieldCode}
	return []Sample{
		{"sign-in", pages.SignIn{Form: form, Tenant: text.Tenant, Application: text.Application}},
		{"sign-in-wrong", pages.SignIn{
			Form: form, Tenant: text.Tenant, Application: text.Application, Principal: text.Principal,
			Problem: pages.Problem{Text: "The user name or the password is wrong.", Field: pages.FieldPassword},
		}},
		{"sign-in-slow", pages.SignIn{
			Form: own, Tenant: text.Tenant, Principal: text.Principal,
			Problem: pages.Problem{Text: "Too many wrong passwords. Try again in 30 seconds."},
		}},
		{"one-time-code", pages.OneTimeCode{Form: form, Tenant: text.Tenant, Application: text.Application, Principal: text.Principal}},
		{"one-time-code-recovery", pages.OneTimeCode{
			Form: form, Tenant: text.Tenant, Principal: text.Principal,
			Problem: pages.Problem{Text: "The recovery code is wrong, or was used before.", Field: pages.FieldRecovery},
		}},
		{"new-password", pages.NewPassword{Form: own, Tenant: text.Tenant, Principal: text.Principal, Old: true, Cancel: "/account"}},
		{"new-password-code", pages.NewPassword{Form: own, Tenant: text.Tenant, Principal: text.Principal, Old: true, Code: true, Cancel: "/account"}},
		{"new-password-must", pages.NewPassword{
			Form: form, Tenant: text.Tenant, Principal: text.Principal, Must: true,
			Problem: pages.Problem{Text: "The two are not the same. Type the new password twice.", Field: pages.FieldAgain},
		}},
		{"choose-account", pages.ChooseAccount{Form: form, Tenant: text.Tenant, Application: text.Application, Name: text.Name, Principal: text.Principal}},
		{"proof", pages.Proof{
			Form: own, Tenant: text.Tenant, Principal: text.Principal, Purpose: "Remove two-step verification",
			Effect: "Then your password alone signs you in.", Button: "Remove", Code: true, Cancel: "/account",
		}},
		{"device-code", pages.DeviceCode{Form: own, Tenant: text.Tenant}},
		{"device-code-wrong", pages.DeviceCode{
			Form: own, Tenant: text.Tenant, Code: "WDJB-MJHT",
			Problem: pages.Problem{Text: "There is no such code, or its time is over. Start again on the device.", Field: pages.FieldUserCode},
		}},
		{"device-confirm", pages.DeviceConfirm{
			Form: own, Tenant: text.Tenant, Application: text.Application, Code: "WDJB-MJHT", Address: text.Address, Agent: text.Agent,
			Asked: Now.Add(-3 * time.Minute), Now: Now, Name: text.Name, Principal: text.Principal,
		}},
		{"device-allowed", pages.DeviceDone{Tenant: text.Tenant, Application: text.Application, Allowed: true}},
		{"device-denied", pages.DeviceDone{Tenant: text.Tenant, Application: text.Application}},
		{"account", account},
		{"account-protected", protected},
		{"account-last", last},
		{"two-step-setup", setUp},
		{"two-step-setup-typed", typed},
		{"recovery-codes", pages.RecoveryCodes{
			Tenant: text.Tenant, Principal: text.Principal, Made: Now, Next: "/account",
			Codes: []string{"2b7kq9xw-n4cr8mte", "h5vd3yzp-6wj2tkfa", "xq8rm4cn-b9e7kv3d", "t2y6wzph-5ja4fgus", "m9n3xk7b-rc8t2qve", "d4hwy5jz-p6afk3mu", "7cxb9ntr-e8qv2wkd", "zh3pj6ym-4sag5ftu", "k8w2rvbx-n7mc9teq", "y5df4hjz-3pua6gsk"},
		}},
		{"sign-out", pages.SignOut{Form: own, Tenant: text.Tenant, Name: text.Name, Principal: text.Principal, Cancel: "/account"}},
		{"signed-out", pages.SignedOut{Tenant: text.Tenant, SignIn: "/account"}},
		{"failure", pages.Failure{
			Tenant: text.Tenant, Title: "This sign-in has run out", Text: "It was begun more than an hour ago. Go back to the application and begin again.",
			Trace: "5f0c3c1e-8a52-4f0e-9d07-6f8f2d4c1b7a",
		}},
		{"failure-onward", pages.Failure{Title: "There is nothing at this address", Text: "Check the address, or begin at your account.", Next: pages.Link{Text: "Your account", Address: "/account"}}},
		{"form-post", pages.FormPost{
			Tenant: text.Tenant, Application: text.Application, Redirect: "https://console.corp.example/signed-in",
			Fields: []pages.Field{{Name: "code", Value: "0.AXoA"}, {Name: "state", Value: "af0ifjsldkj"}},
		}},
	}
}
