package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"swab/internal/action"
	"swab/internal/evidence"
)

// sealed is an installation with one package: its action, bytes and link.
func sealed(t testing.TB) (in *installation, id string, content []byte, link string) {
	t.Helper()
	in = install(t)
	id = in.collect(t)
	content = bytes.Repeat([]byte("0123456789abcdef"), 4096)
	in.succeed(t, id, content)
	return in, id, content, in.link(t, id)
}

// link asks for a link and returns its path and query.
func (in *installation) link(t testing.TB, id string) string {
	t.Helper()
	g := in.as(t, full, "GET", "/api/machineactions/"+id+"/getPackageUri", "")
	link, ok := strings.CutPrefix(g.text("value"), in.URL)
	if g.status != http.StatusOK || !ok {
		t.Fatalf("link: %d %s", g.status, g.raw)
	}
	return link
}

func TestALinkGivesThePackageWithItsHashAndReceipt(t *testing.T) {
	in, id, content, link := sealed(t)
	sum := sha256.Sum256(content)
	want := http.Header{
		"Content-Type": {"application/zip"}, "Content-Length": {fmt.Sprint(len(content))}, "Accept-Ranges": {"bytes"},
		"Etag":                    {`"` + hex.EncodeToString(sum[:]) + `"`},
		"Repr-Digest":             {"sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"},
		"Content-Disposition":     {`attachment; filename="wks-042.corp.example_` + id + `.zip"`},
		"Link":                    {"<" + in.URL + strings.Replace(link, ".zip?", ".zip.receipt?", 1) + `>; rel="describedby"`},
		"X-Content-Type-Options":  {"nosniff"},
		"Cache-Control":           {"private, no-store"},
		"Content-Security-Policy": {"sandbox; default-src 'none'"},
	}
	for _, method := range []string{"GET", "HEAD"} {
		g := in.send(t, method, link, "")
		if g.status != http.StatusOK || method == "GET" && g.raw != string(content) || method == "HEAD" && g.raw != "" {
			t.Errorf("%s: %d, %d bytes", method, g.status, len(g.raw))
		}
		for name := range want {
			if g.header.Get(name) != want.Get(name) {
				t.Errorf("%s: %s is %q, want %q", method, name, g.header.Get(name), want.Get(name))
			}
		}
		if g.header.Get("request-id") == "" {
			t.Errorf("%s: no request-id", method)
		}
	}
	receipt, _, _ := strings.Cut(strings.TrimPrefix(want.Get("Link"), "<"+in.URL), ">")
	g := in.send(t, "GET", receipt, "")
	act, err := in.engine.Records.Action(t.Context(), tenantID, id)
	if err != nil {
		t.Fatal(err)
	}
	if g.status != http.StatusOK || g.raw != string(act.Package.Receipt) || g.header.Get("Content-Disposition") != strings.Replace(want.Get("Content-Disposition"), ".zip", ".zip.receipt", 1) {
		t.Errorf("receipt: %d %v %s", g.status, g.header, g.raw)
	}
	if r, err := evidence.OpenReceipt([]byte(g.raw), in.receiptKeys()); err != nil || r.SHA256 != hex.EncodeToString(sum[:]) || r.Action != id {
		t.Errorf("receipt %+v, %v", r, err)
	}
}

func TestALinkWorksWithRangesAndConditions(t *testing.T) {
	in, _, content, link := sealed(t)
	etag := in.send(t, "HEAD", link, "").header.Get("ETag")
	for _, c := range []struct {
		name   string
		header []string
		status int
		body   string
	}{
		{"first bytes", []string{"Range", "bytes=0-9"}, 206, string(content[:10])},
		{"the rest", []string{"Range", fmt.Sprintf("bytes=%d-", len(content)-5)}, 206, string(content[len(content)-5:])},
		{"last bytes", []string{"Range", "bytes=-5"}, 206, string(content[len(content)-5:])},
		{"beyond the end", []string{"Range", fmt.Sprintf("bytes=%d-", len(content))}, 416, ""},
		{"not bytes", []string{"Range", "lines=0-9"}, 416, ""},
		{"the same as before", []string{"Range", "bytes=0-9", "If-Range", etag}, 206, string(content[:10])},
		{"changed since", []string{"Range", "bytes=0-9", "If-Range", `"other"`}, 200, string(content)},
		{"changed since, so stop", []string{"If-Match", `"other"`}, 412, ""},
		{"had already", []string{"If-None-Match", etag}, 304, ""},
		{"1,000 ranges", []string{"Range", "bytes=0-0" + strings.Repeat(",2-2", 999)}, 416, ""},
		{"17 ranges", []string{"Range", "bytes=0-0" + strings.Repeat(",2-2", 16)}, 416, ""},
		{"16 times the whole", []string{"Range", "bytes=0-" + strings.Repeat(",0-", 15)}, 200, string(content)},
	} {
		g := in.send(t, "GET", link, "", c.header...)
		if g.status != c.status || c.status < 400 && g.raw != c.body {
			t.Errorf("%s: %d, %d bytes; want %d, %d bytes", c.name, g.status, len(g.raw), c.status, len(c.body))
		}
	}
	if g := in.send(t, "GET", link, "", "Range", "bytes=0-0"+strings.Repeat(",2-2", 15)); g.status != 206 || !strings.HasPrefix(g.header.Get("Content-Type"), "multipart/byteranges") {
		t.Errorf("16 ranges: %d %v", g.status, g.header)
	}
}

func TestARefusedPartOfAFileIsAnsweredAsEveryFailure(t *testing.T) {
	in, id, content, link := sealed(t)
	act, err := in.engine.Records.Action(t.Context(), tenantID, id)
	if err != nil {
		t.Fatal(err)
	}
	receipt := strings.Replace(link, ".zip?", ".zip.receipt?", 1)
	many := "bytes=0-0" + strings.Repeat(",2-2", 16)
	for _, c := range []struct {
		link, name, value string
		status, size      int
		code              string
	}{
		{link, "Range", fmt.Sprintf("bytes=%d-", len(content)), 416, len(content), "RangeNotSatisfiable"},
		{link, "Range", "lines=0-9", 416, len(content), "RangeNotSatisfiable"},
		{link, "Range", many, 416, len(content), "RangeNotSatisfiable"},
		{receipt, "Range", "bytes=1000000-", 416, len(act.Package.Receipt), "RangeNotSatisfiable"},
		{receipt, "Range", many, 416, len(act.Package.Receipt), "RangeNotSatisfiable"},
		{link, "If-Match", `"other"`, 412, -1, "PreconditionFailed"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			g := in.send(t, method, c.link, "", c.name, c.value)
			extent := ""
			if c.size >= 0 {
				extent = fmt.Sprintf("bytes */%d", c.size)
			}
			if g.status != c.status || g.header.Get("Content-Range") != extent || g.header.Get("request-id") == "" {
				t.Errorf("%s %s: %s: %d %v", method, c.name, c.value, g.status, g.header)
			}
			// No word of the file: a hash of it is not the hash of this answer.
			for _, of := range []string{"Etag", "Repr-Digest", "Content-Disposition", "Link", "Last-Modified"} {
				if g.header.Get(of) != "" {
					t.Errorf("%s %s: %s: the answer has %s %q", method, c.name, c.value, of, g.header.Get(of))
				}
			}
			if method == "GET" && g.code(t) != c.code {
				t.Errorf("%s: %s: %s", c.name, c.value, g.raw)
			}
		}
	}
}

func TestALinkIsWorthNothingForAnythingElse(t *testing.T) {
	in, id, _, link := sealed(t)
	second := in.collect(t)
	in.succeed(t, second, []byte("another package"))
	path, query, _ := strings.Cut(link, "?")
	_, otherQuery, _ := strings.Cut(in.link(t, second), "?")
	expires, mac, _ := strings.Cut(query, "&s=")
	flip := func(s string) string { return string(s[0]^1) + s[1:] }
	for name, altered := range map[string]string{
		"no query":                path,
		"no signature":            path + "?" + expires,
		"empty signature":         path + "?" + expires + "&s=",
		"altered signature":       path + "?" + expires + "&s=" + flip(mac),
		"cut signature":           link[:len(link)-1],
		"signature not canonical": link[:len(link)-1] + string(link[len(link)-1]+1),
		"padded signature":        link + "=",
		"later expiry":            path + "?" + strings.Replace(query, "e=", "e=9", 1),
		"expiry with a sign":      path + "?" + strings.Replace(query, "e=", "e=%2B", 1),
		"another package":         strings.Replace(link, id, second, 1),
		"another's signature":     path + "?" + otherQuery,
		"another tenant":          strings.Replace(link, tenantID, "d2a1f3c4-55b6-4e7d-8f90-000000000000", 1),
		"id in upper case":        strings.Replace(link, id, strings.ToUpper(id), 1),
		"no such action":          strings.Replace(link, id, "nothing", 1),
	} {
		if g := in.send(t, "GET", altered, ""); g.status != http.StatusForbidden || g.code(t) != "Forbidden" {
			t.Errorf("%s: %d %.200s", name, g.status, g.raw)
		}
	}
	// Not a listing anywhere, nor anything beside the package and its receipt.
	for _, at := range []string{"/packages/", "/packages/" + tenantID + "/", path + "/?" + query, path + "x?" + query, strings.TrimSuffix(path, ".zip") + "?" + query} {
		if g := in.send(t, "GET", at, ""); g.status != http.StatusNotFound && g.status != http.StatusForbidden && at != path+"/?"+query {
			t.Errorf("%s: %d %.200s", at, g.status, g.raw)
		}
	}
	if g := in.send(t, "GET", "/api/machineactions?"+query, ""); g.status != http.StatusUnauthorized {
		t.Errorf("the link's query at the API: %d", g.status)
	}
}

func TestALinkEndsAfter15Minutes(t *testing.T) {
	in, id, _, link := sealed(t)
	in.advance(14 * time.Minute)
	if g := in.send(t, "GET", link, ""); g.status != http.StatusOK {
		t.Errorf("after 14 minutes: %d %.200s", g.status, g.raw)
	}
	in.advance(time.Minute)
	for _, at := range []string{link, strings.Replace(link, ".zip?", ".zip.receipt?", 1)} {
		if g := in.send(t, "GET", at, ""); g.status != http.StatusForbidden || g.code(t) != "Forbidden" || !strings.Contains(g.message(), "expired") {
			t.Errorf("after 15 minutes: %d %.200s", g.status, g.raw)
		}
	}
	if g := in.send(t, "GET", in.link(t, id), ""); g.status != http.StatusOK {
		t.Errorf("a new link: %d", g.status)
	}
}

func TestADeletedPackageIs404EverywhereAtOnce(t *testing.T) {
	in, id, _, link := sealed(t)
	act, err := in.engine.Records.Action(t.Context(), tenantID, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.vault.Delete(t.Context(), act.Package.Upload, "expired"); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{link, strings.Replace(link, ".zip?", ".zip.receipt?", 1)} {
		if g := in.send(t, "GET", at, ""); g.status != http.StatusNotFound || g.code(t) != "ResourceNotFound" {
			t.Errorf("%s: %d %.200s", at, g.status, g.raw)
		}
	}
	g := in.as(t, full, "GET", "/api/machineactions/"+id+"/getPackageUri", "")
	if g.status != http.StatusNotFound || g.code(t) != "ResourceNotFound" || !strings.Contains(g.message(), "deleted") {
		t.Errorf("a new link: %d %s", g.status, g.raw)
	}
}

func TestWhatADeadAttemptDeliveredIsServedToAdministrators(t *testing.T) {
	in := install(t)
	id := in.collect(t)
	in.begin(t, id)
	u := in.upload(t, id, []byte("the first seconds"), -1)
	path := "/api/swab/v1/actions/" + id + "/attempts/1"
	if g := in.as(t, full, "GET", path, ""); g.status != http.StatusNotFound || g.code(t) != "ResourceNotFound" {
		t.Errorf("an attempt that is not dead: %d %s", g.status, g.raw)
	}
	if _, err := in.vault.Keep(t.Context(), u.ID, "the agent was restarted"); err != nil {
		t.Fatal(err)
	}
	g := in.as(t, full, "GET", path, "")
	if g.status != http.StatusOK || g.raw != "the first seconds" || g.header.Get("Content-Type") != "application/octet-stream" || g.header.Get("Etag") != "" ||
		!strings.HasPrefix(g.header.Get("Content-Disposition"), `attachment; filename="unverified-attempt-1-`) {
		t.Errorf("%d %v %q", g.status, g.header, g.raw)
	}
	if g := in.as(t, full, "GET", path, "", "Range", "bytes=4-8"); g.status != http.StatusPartialContent || g.raw != "first" {
		t.Errorf("a range: %d %q", g.status, g.raw)
	}
	for _, number := range []string{"0", "2", "x", "99999999999999999999"} {
		if g := in.as(t, full, "GET", strings.TrimSuffix(path, "1")+number, ""); g.status != http.StatusNotFound || g.code(t) != "ResourceNotFound" {
			t.Errorf("attempt %s: %d %s", number, g.status, g.raw)
		}
	}
	reads := 0
	for _, l := range in.leaves(t) {
		if l.Act == "package.partial" && l.Result == "done" && l.Object == id && l.Detail == "1" {
			reads++
		}
	}
	if reads < 2 {
		t.Errorf("%d readings are in the audit log", reads)
	}
}

func TestADeviceCannotPutMoreThanANameIntoAHeader(t *testing.T) {
	const id = "0b6c2f1e-4a57-4d0f-9a3e-7c5d21e8b694"
	for name, want := range map[string]string{
		"wks-042.corp.example": "wks-042.corp.example", "": "device", "..": "device", "../../etc/passwd": "etc-passwd",
		"a\r\nSet-Cookie: x": "a---et--ookie--x", `x"; filename="evil.exe`: "x---filename--evil.exe", "\u202egpj.exe": "gpj.exe",
		"é": "device", strings.Repeat("a", 300): strings.Repeat("a", 64),
	} {
		if got := fileName(action.Action{ID: id, DeviceName: name}); got != want+"_"+id+".zip" {
			t.Errorf("fileName(%q) = %q, want %q", name, got, want+"_"+id+".zip")
		}
	}
}

func BenchmarkStatus(b *testing.B) {
	in := install(b)
	id := in.collect(b)
	for b.Loop() {
		if g := in.as(b, full, "GET", "/api/machineactions/"+id, ""); g.status != http.StatusOK {
			b.Fatal(g.raw)
		}
	}
}
