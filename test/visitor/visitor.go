// Package visitor is a person at a browser: it signs in on the server's pages in
// Debian's Chromium as a person does, by what the fields are for and what the
// buttons say.
package visitor

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Person is who signs in. Where the page asks for another password, since somebody
// else knows this one, it is Next from then on.
type Person struct{ Principal, Password, Next string }

// Browser is a browser in which nobody is signed in yet.
type Browser struct{ ctx context.Context }

// Chromium starts Debian's Chromium for the time of the test, and returns the
// context in which chromedp drives it. It takes any certificate: that of the
// server is its own authority's.
func Chromium(t testing.TB) context.Context {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("pages are seen in Chromium; test/deps installs it: %v", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU, // tests may run as root, where its sandbox can't
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.IgnoreCertErrors)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // it lives as long as the context of the first thing that is done
		t.Fatalf("start Chromium: %v", err)
	}
	return ctx
}

// Open starts a browser for the time of the test.
func Open(t testing.TB) *Browser {
	t.Helper()
	return &Browser{Chromium(t)}
}

// within bounds one thing that a person does.
func (b *Browser) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.ctx, 30*time.Second)
}

// Page is what a person sees.
type Page struct{ Address, Heading, Text string }

func (b *Browser) see(ctx context.Context) (Page, error) {
	var p Page
	var err error
	for _, one := range []struct {
		into *string
		of   string
	}{{&p.Address, "location.href"}, {&p.Heading, `document.querySelector("h1")?.innerText ?? document.title`}, {&p.Text, "document.body.innerText"}} {
		if *one.into, err = chromedp.Run(ctx, chromedp.Evaluate[string](one.of)); err != nil {
			return p, err
		}
	}
	return p, nil
}

// Visit goes to an address.
func (b *Browser) Visit(address string) (Page, error) {
	ctx, cancel := b.within()
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Navigate(address)); err != nil {
		return Page{}, fmt.Errorf("go to %s: %w", address, err)
	}
	return b.see(ctx)
}

// Send fills in fields, by their names, and presses the button of the form that
// they are in which says button.
func (b *Browser) Send(button string, fields map[string]string) (Page, error) {
	ctx, cancel := b.within()
	defer cancel()
	for name, value := range fields {
		field := fmt.Sprintf(`input[name=%q]`, name)
		clear := fmt.Sprintf("document.querySelector(%q).value = ''", field)
		if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](clear), chromedp.SendKeys(field, value)); err != nil {
			return Page{}, fmt.Errorf("fill in %s: %w", name, err)
		}
	}
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(fmt.Sprintf(`//button[normalize-space()=%q]`, button))); err != nil {
		p, _ := b.see(ctx)
		return p, fmt.Errorf("press %s at %s, on a page that says %.300q: %w", button, p.Address, p.Text, err)
	}
	return b.see(ctx)
}

// prove says who it is, and sets another password where that is asked for.
func (b *Browser) prove(who *Person) (Page, error) {
	p, err := b.Send("Sign in", map[string]string{"username": who.Principal, "password": who.Password})
	if err == nil && p.Heading == "Set a new password" {
		if p, err = b.Send("Set the password", map[string]string{"new_password": who.Next, "new_password_again": who.Next}); err == nil {
			who.Password = who.Next
		}
	}
	return p, err
}

// SignIn goes to an address at which an application sends people, and signs in.
// What the person sees at the end is the application's own page.
func (b *Browser) SignIn(address string, who *Person) (Page, error) {
	p, err := b.Visit(address)
	if err != nil {
		return p, err
	}
	if p.Heading == "Choose an account" {
		if p, err = b.Send("Use another account", nil); err != nil {
			return p, err
		}
	}
	p, err = b.prove(who)
	if err == nil && p.Heading == "Almost done" { // an application that wants its answer in a form
		p, err = b.Send("Continue", nil)
	}
	return p, err
}

// Approve types the code that a device shows, at the address that it names, signs
// in, and lets the device go on.
func (b *Browser) Approve(address, code string, who *Person) (Page, error) {
	p, err := b.Visit(address)
	if err == nil && strings.HasPrefix(p.Heading, "Sign in on a device") {
		p, err = b.Send("Continue", map[string]string{"user_code": code})
	}
	if err == nil && p.Heading == "Sign in" {
		p, err = b.prove(who)
	}
	if err == nil && strings.HasPrefix(p.Heading, "Sign in on a device") {
		p, err = b.Send("Continue", map[string]string{"user_code": code})
	}
	if err != nil {
		return p, err
	}
	return b.Send("Allow", nil)
}
