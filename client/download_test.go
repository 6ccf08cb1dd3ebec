package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// vault serves one package as the contract has it, and cuts the connection
// after each of cuts bytes.
type vault struct {
	data    []byte
	cuts    []int
	ranges  []string
	swapped bool // the package is another one from the second request on
	lie     bool // about the digest
	none    bool // no Link header
	plain   bool // no length
}

func (v *vault) serve(s *server) {
	s.api("GET /api/machineactions/a1/getPackageUri", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]string{"value": s.URL + "/packages/t/a1.zip?e=1&s=sig"})
	})
	s.mux.HandleFunc("GET /packages/t/a1.zip.receipt", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "e=1&s=sig" {
			w.WriteHeader(403)
		}
		fmt.Fprint(w, "receipt")
	})
	s.mux.HandleFunc("GET /packages/t/a1.zip", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusBadRequest) // a link needs no token, and must not be given one
			return
		}
		data := v.data
		if v.swapped && len(v.ranges) > 0 {
			data = append([]byte("x"), data...)
		}
		v.ranges = append(v.ranges, r.Header.Get("Range"))
		sum := sha256.Sum256(data)
		etag := `"` + hex.EncodeToString(sum[:]) + `"`
		if v.lie {
			sum[0]++
		}
		w.Header().Set("ETag", etag)
		w.Header().Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
		w.Header().Set("Content-Disposition", `attachment; filename="web1.zip"`)
		if !v.none {
			w.Header().Set("Link", `</packages/t/a1.zip.receipt?e=1&s=sig>; rel="describedby"`)
		}
		w.Header().Set("Content-Type", "application/zip")
		if v.plain {
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			return
		}
		if len(v.cuts) > 0 {
			cut := v.cuts[0]
			v.cuts = v.cuts[1:]
			w = &cutter{ResponseWriter: w, left: cut}
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	})
}

// cutter aborts the connection after so many bytes.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) >= c.left {
		c.ResponseWriter.Write(p[:c.left])
		c.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= len(p)
	return c.ResponseWriter.Write(p)
}

func someBytes(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	r.Read(b)
	return b
}

func TestDownloadGoesOnAfterCuts(t *testing.T) {
	s, c := newServer(t)
	v := &vault{data: someBytes(300_000), cuts: []int{100_000, 0, 50_000}}
	v.serve(s)
	var got bytes.Buffer
	p, err := c.Download(t.Context(), "a1", &got)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(v.data)
	want := Package{Name: "web1.zip", Size: 300_000, SHA256: hex.EncodeToString(sum[:]), Receipt: []byte("receipt")}
	if diff := cmp.Diff(want, p); diff != "" || !bytes.Equal(got.Bytes(), v.data) {
		t.Errorf("equal bytes: %v (-want +got):\n%s", bytes.Equal(got.Bytes(), v.data), diff)
	}
	if diff := cmp.Diff([]string{"", "bytes=100000-", "bytes=100000-", "bytes=150000-"}, v.ranges); diff != "" {
		t.Errorf("ranges asked (-want +got):\n%s", diff)
	}
}

func TestReceiptIsAskedForAgain(t *testing.T) {
	cut := func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", "7")
		fmt.Fprint(w, "rec")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	status := func(code int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { w.WriteHeader(code) }
	}
	whole := func(w http.ResponseWriter) { fmt.Fprint(w, "receipt") }
	for name, tc := range map[string]struct {
		answers []func(http.ResponseWriter)
		asked   int
		want    string // the receipt, or what the error says
	}{
		"after cuts and trouble":   {[]func(http.ResponseWriter){cut, status(503), status(429), cut, whole}, 5, "receipt"},
		"until it is hopeless":     {[]func(http.ResponseWriter){cut, cut, cut, cut, cut, cut, whole}, 6, "unexpected EOF"},
		"not where it is refused":  {[]func(http.ResponseWriter){status(403), whole}, 1, "403"},
		"not where it is too long": {[]func(http.ResponseWriter){func(w http.ResponseWriter) { w.Write(make([]byte, maxReceipt+1)) }, whole}, 1, "over 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := newServer(t)
			asked := 0
			s.mux.HandleFunc("GET /p.zip", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "zip") })
			s.mux.HandleFunc("GET /p.zip.receipt", func(w http.ResponseWriter, _ *http.Request) {
				asked++
				tc.answers[min(asked, len(tc.answers))-1](w)
			})
			p, err := c.DownloadURI(t.Context(), s.URL+"/p.zip", &bytes.Buffer{})
			if got := string(p.Receipt); asked != tc.asked || err == nil && got != tc.want || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("asked %d times, want %d; got %q, %v, want %q", asked, tc.asked, got, err, tc.want)
			}
		})
	}
}

func TestReceiptLiesBesideThePackageWhereNothingNamesIt(t *testing.T) {
	s, c := newServer(t)
	v := &vault{data: []byte("zip"), none: true}
	v.serve(s)
	p, err := c.Download(t.Context(), "a1", &bytes.Buffer{})
	if err != nil || string(p.Receipt) != "receipt" {
		t.Errorf("got %q, %v", p.Receipt, err)
	}
}

func TestDownloadRefusesWhatIsNotThePackage(t *testing.T) {
	for name, tc := range map[string]struct {
		vault vault
		want  string
	}{
		"swapped between two parts": {vault{data: someBytes(1000), cuts: []int{500}, swapped: true}, "changed on the server"},
		"not what its digest says":  {vault{data: someBytes(1000), lie: true}, "the server names"},
		"cut again and again":       {vault{data: someBytes(1000), cuts: []int{500, 0, 0, 0, 0, 0, 0}}, "cut at byte 500"},
		"of no known length":        {vault{plain: true}, "how long"},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := newServer(t)
			tc.vault.serve(s)
			_, err := c.Download(t.Context(), "a1", &bytes.Buffer{})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "s=sig") {
				t.Errorf("the message holds the link's signature: %v", err)
			}
		})
	}
}

func TestDownloadStopsWhenTheDiskIsFull(t *testing.T) {
	s, c := newServer(t)
	v := &vault{data: someBytes(200_000)}
	v.serve(s)
	full := errors.New("no space left on device")
	_, err := c.Download(t.Context(), "a1", writeFunc(func([]byte) (int, error) { return 0, full }))
	if !errors.Is(err, full) || len(v.ranges) != 1 {
		t.Errorf("got %v after %d requests", err, len(v.ranges))
	}
}

type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }

func TestSilentServerIsACut(t *testing.T) {
	s, c := newServer(t)
	c.timeout = 50 * time.Millisecond
	data, asked := someBytes(1000), 0
	s.mux.HandleFunc("GET /p.zip", func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 1 {
			w.Header().Set("Content-Length", strconv.Itoa(len(data)))
			w.Write(data[:400])
			w.(http.Flusher).Flush()
			<-r.Context().Done() // until the client has had enough
			panic(http.ErrAbortHandler)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	})
	s.mux.HandleFunc("GET /p.zip.receipt", func(http.ResponseWriter, *http.Request) {})
	var got bytes.Buffer
	if _, err := c.DownloadURI(t.Context(), s.URL+"/p.zip", &got); err != nil || !bytes.Equal(got.Bytes(), data) {
		t.Errorf("got %d bytes, %v", got.Len(), err)
	}
}

func TestDownloadEndsWithItsContext(t *testing.T) {
	s, c := newServer(t)
	v := &vault{data: someBytes(1000), cuts: []int{10}}
	v.serve(s)
	ctx, cancel := context.WithCancel(t.Context())
	c.sleep = func(ctx context.Context, _ time.Duration) error { cancel(); return context.Cause(ctx) }
	if _, err := c.Download(ctx, "a1", &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestReceiptIsNeverAskedOfAnotherServer(t *testing.T) {
	pkg, _ := url.Parse("https://host:1/p/a.zip?s=1")
	for link, want := range map[string]string{
		`<https://host:1/r?s=1>; rel="describedby"`:               "https://host:1/r?s=1",
		`<a.zip.receipt?s=2>; rel=describedby`:                    "https://host:1/p/a.zip.receipt?s=2",
		`<https://evil.invalid/r>; rel="describedby"`:             "https://host:1/p/a.zip.receipt?s=1",
		`<http://host:1/r>; rel="describedby"`:                    "https://host:1/p/a.zip.receipt?s=1",
		`</other>; rel="next", </r>; type="x"; rel="describedby"`: "https://host:1/r",
		`</other>; rel="next"`:                                    "https://host:1/p/a.zip.receipt?s=1",
		`junk`:                                                    "https://host:1/p/a.zip.receipt?s=1",
	} {
		if got := receiptURL(pkg, []string{link}).String(); got != want {
			t.Errorf("receiptURL(%s) = %s, want %s", link, got, want)
		}
	}
}

func TestAttemptBytesAreCopiedAsTheyAre(t *testing.T) {
	s, c := newServer(t)
	data := someBytes(100_000)
	s.api("GET /api/swab/v1/actions/a1/attempts/2", func(w http.ResponseWriter, _ *http.Request) { w.Write(data) })
	var got bytes.Buffer
	n, err := c.AttemptBytes(t.Context(), "a1", 2, &got)
	if err != nil || n != 100_000 || !bytes.Equal(got.Bytes(), data) {
		t.Errorf("got %d bytes, %v", n, err)
	}
}
