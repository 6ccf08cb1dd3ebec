package pages

import (
	"strings"
	"testing"
	"time"
)

func TestTargetIsTheNarrowestSource(t *testing.T) {
	for address, want := range map[string]string{
		"https://console.corp.example/signed-in?x=1#y": "https://console.corp.example",
		"https://Console.Corp.Example:8443/":           "https://console.corp.example:8443",
		"http://localhost:51234/callback":              "http://localhost:51234",
		"http://127.0.0.1:1/":                          "http://127.0.0.1:1",
		"http://[::1]:51234/":                          "http:",
		"https://user:pass@host.example/":              "https://host.example",
		"https://a;script-src.example/":                "https:",
		"https://a,b.example/":                         "https:",
		"https://*.example/":                           "https:",
		"https://bücher.example/":                      "https:",
		"msal6f0b://auth":                              "msal6f0b:",
		"com.example.app:/oauth":                       "com.example.app:",
		"HTTPS://host.example":                         "https://host.example",
		"urn:ietf:wg:oauth:2.0:oob":                    "urn:",
		"javascript:alert(1)":                          "",
		"JavaScript:alert(1)":                          "",
		"data:text/html,x":                             "",
		"blob:https://x/":                              "",
		"/own/path":                                    "",
		"//host.example/":                              "",
		"https://host.example/\n; script-src *":        "",
		"":                                             "",
	} {
		if got := target(address); got != want {
			t.Errorf("target(%q) = %q, want %q", address, got, want)
		}
	}
}

func FuzzTarget(f *testing.F) {
	f.Add("https://console.corp.example/x")
	f.Add("http://[::1]:80/")
	f.Add("a:;'*'")
	f.Fuzz(func(t *testing.T, address string) {
		got := target(address)
		if strings.ContainsAny(got, " \t\r\n;,'*\"") || strings.HasPrefix(got, "javascript:") || strings.HasPrefix(got, "data:") {
			t.Errorf("target(%q) = %q", address, got)
		}
	})
}

func TestProgramsAreNamedAsPeopleCallThem(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0":                                                                  "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36":                         "Chrome on Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0":           "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15":                   "Safari on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.7444.46 Mobile/15E148 Safari/604.1":   "Chrome on iPad",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36":                         "Chrome on Android",
		"Mozilla/5.0 (Plan 9) Netsurf/3": "Browser",
		"swab/1.4.0":                     "swab/1.4.0",
		"":                               "",
		strings.Repeat("é", 81):          strings.Repeat("é", 80) + "…",
	} {
		if got := program(agent); got != want {
			t.Errorf("program(%q) = %q, want %q", agent, got, want)
		}
	}
}

func TestTimesAreToldInWords(t *testing.T) {
	now := time.Date(2026, 11, 25, 8, 0, 0, 0, time.FixedZone("", 3600))
	for d, want := range map[time.Duration]string{
		-time.Hour: "just now", 0: "just now", 59 * time.Second: "just now", time.Minute: "1 minute ago", 119 * time.Second: "1 minute ago", 59 * time.Minute: "59 minutes ago",
		time.Hour: "1 hour ago", 23 * time.Hour: "23 hours ago", 24 * time.Hour: "1 day ago", 47 * time.Hour: "1 day ago", 400 * 24 * time.Hour: "400 days ago",
	} {
		if got := ago(now.Add(-d), now); got != want {
			t.Errorf("%v before now is %q, want %q", d, got, want)
		}
	}
	if got, want := string(moment(now)), `<time datetime="2026-11-25T07:00:00Z">25 Nov 2026, 07:00 UTC</time>`; got != want {
		t.Errorf("moment = %s, want %s", got, want)
	}
}
