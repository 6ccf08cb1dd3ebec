package wire_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"swab/internal/audit"
	"swab/internal/device"
	"swab/internal/wire"
)

const (
	action = "0b6c2f1e-4a57-4d0f-9a3e-7c5d21e8b694"
	digest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
)

func collect() wire.Collect {
	return wire.Collect{
		Action: action, Attempt: 1, Profile: "triage", Plan: digest, Commitment: digest,
		Proof: wire.Proof{
			Leaves:     []audit.Proved{{Index: 3, Leaf: []byte("{}"), Inclusion: []tlog.Hash{{1}}}},
			Checkpoint: "swab/x\n", Consistency: []tlog.Hash{{2}},
		},
	}
}

func TestMessagesArriveAsSent(t *testing.T) {
	for _, m := range []wire.FromServer{wire.Welcome{Version: 1}, collect(), wire.Cancel{Action: action}, wire.Closed{Action: action}, wire.Rotate{}, wire.Rebase{Statement: []byte("{}")}, wire.Bye{Reason: wire.ByeShutdown}} {
		frame, err := wire.EncodeServer(m)
		if err != nil {
			t.Fatalf("EncodeServer(%T) = %v", m, err)
		}
		got, err := wire.DecodeServer(frame)
		if err != nil {
			t.Fatalf("DecodeServer(%s) = %v", frame, err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Errorf("%T differs:\n%s", m, diff)
		}
		if _, err := wire.DecodeDevice(frame); err == nil {
			t.Errorf("a device may say %s", frame)
		}
	}
	for _, m := range []wire.FromDevice{
		wire.Hello{Versions: [2]int{1, 1}, Catalog: digest, Facts: device.Facts{Name: "web"}, Running: []wire.Running{{Action: action, Attempt: 2}}},
		wire.Begun{Action: action, Attempt: 1, Head: audit.Head{Size: 1}},
		wire.Refused{Action: action, Attempt: 1, Code: wire.RefusedProof, Text: "no"},
		wire.Progress{Action: action, Attempt: 1, Stage: 1},
		wire.Ended{Action: action, Attempt: 1, Code: wire.EndLost},
		wire.Rebased{Head: audit.Head{Size: 1}, Text: "no"},
		wire.Pong{},
	} {
		frame, err := wire.EncodeDevice(m)
		if err != nil {
			t.Fatalf("EncodeDevice(%T) = %v", m, err)
		}
		got, err := wire.DecodeDevice(frame)
		if err != nil {
			t.Fatalf("DecodeDevice(%s) = %v", frame, err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Errorf("%T differs:\n%s", m, diff)
		}
		if _, err := wire.DecodeServer(frame); err == nil {
			t.Errorf("a server may say %s", frame)
		}
	}
}

func TestTheHighestCommonVersionIsSpoken(t *testing.T) {
	for _, c := range []struct {
		device [2]int
		want   int
	}{{[2]int{1, 1}, 1}, {[2]int{1, 2}, 2}, {[2]int{2, 2}, 2}, {[2]int{1, 9}, wire.Version}, {[2]int{9, 12}, 0}} {
		if got := wire.Agree(c.device); got != c.want {
			t.Errorf("Agree(%v) = %d, want %d", c.device, got, c.want)
		}
	}
	// A message that came later never goes to those who do not know it.
	for _, m := range wire.ServerMessages() {
		want := wire.MinVersion
		switch m.(type) {
		case wire.Rotate:
			want = 2
		case wire.Rebase:
			want = 3
		}
		if got := wire.Since(m); got != want {
			t.Errorf("%T is there since version %d, want %d", m, got, want)
		}
	}
}

func TestWhatIsNotInTheListIsRefused(t *testing.T) {
	frame, err := wire.EncodeServer(collect())
	if err != nil {
		t.Fatal(err)
	}
	good := string(frame)
	for name, bad := range map[string]string{
		"unknown type":      `{"v":1,"type":"run","body":{}}`,
		"a command":         strings.Replace(good, `"attempt":1`, `"attempt":1,"command":"id"`, 1),
		"a path":            strings.Replace(good, `"attempt":1`, `"attempt":1,"path":"/etc/shadow"`, 1),
		"a field outside":   strings.Replace(good, `"v":1`, `"v":1,"url":"https://x"`, 1),
		"another version":   strings.Replace(good, `"v":1`, `"v":9`, 1),
		"a later version":   strings.Replace(good, `"v":1`, `"v":2`, 1), // than the one that brought it
		"an earlier one":    `{"v":1,"type":"rotate","body":{}}`,
		"a key to take":     `{"v":2,"type":"rotate","body":{"key":"AAAA"}}`,
		"no version":        strings.Replace(good, `"v":1,`, ``, 1),
		"a path as profile": strings.Replace(good, `"triage"`, `"../triage"`, 1),
		"a bad action id":   strings.Replace(good, action, "..", 1),
		"a bad digest":      strings.Replace(good, digest, "sha256:x", 1),
		"attempt 0":         strings.Replace(good, `"attempt":1`, `"attempt":0`, 1),
		"a huge number":     strings.Replace(good, `"attempt":1`, `"attempt":99999999999999999999`, 1),
		"negative limits":   strings.Replace(good, `"seconds":0`, `"seconds":-1`, 1),
		"no proof":          strings.Replace(good, `"leaves":[`, `"leaves":[],"x":[`, 1),
		"trailing data":     good + "{}",
		"an array":          "[" + good + "]",
		"nothing":           "",
		"too long":          `{"v":1,"type":"cancel","body":{"action":"` + strings.Repeat("a", wire.MaxMessage) + `"}}`,
		"no statement":      `{"v":3,"type":"rebase","body":{"statement":""}}`,
		"a long statement":  `{"v":3,"type":"rebase","body":{"statement":"` + strings.Repeat("AAAA", audit.MaxRebase/3+1) + `"}}`,
		"a free reason":     `{"v":1,"type":"bye","body":{"reason":"because I say so"}}`,
	} {
		if m, err := wire.DecodeServer([]byte(bad)); err == nil {
			t.Errorf("%s: DecodeServer = %+v, want an error", name, m)
		}
	}
}

// TestNoServerMessageCanNameAThing walks the types of all that a server may say.
// A field may be a number, a list or struct of such, or a text with a type of
// its own whose check was seen to refuse what could be a path, a pattern, a
// command, a URL or a program. The proof and the statement of a rebase alone have
// bytes of their own form: they are signed, and compared, never used.
func TestNoServerMessageCanNameAThing(t *testing.T) {
	safe := map[reflect.Type]func(string) wire.FromServer{
		reflect.TypeFor[wire.ActionID](): func(s string) wire.FromServer { return wire.Cancel{Action: wire.ActionID(s)} },
		reflect.TypeFor[wire.Reason]():   func(s string) wire.FromServer { return wire.Bye{Reason: wire.Reason(s)} },
		reflect.TypeFor[wire.Name](): func(s string) wire.FromServer {
			c := collect()
			c.Profile = wire.Name(s)
			return c
		},
		reflect.TypeFor[wire.Digest](): func(s string) wire.FromServer {
			c := collect()
			c.Plan = wire.Digest(s)
			return c
		},
	}
	for typ, message := range safe {
		for _, bad := range []string{
			"", "/etc/passwd", `C:\Windows`, "..", "*", "a*", "%%users.homedir%%", "sh -c id", "$(id)", "`id`", "https://example.org/x", "file:///x",
			"\\\\host\\share", "a/b", "a\\b", "a.b", "a\x00", "a\n", "A", "${x}", "a;b", "a|b", "~", strings.Repeat("a", 65),
		} {
			if _, err := wire.EncodeServer(message(bad)); err == nil {
				t.Errorf("%v takes %q", typ, bad)
			}
		}
	}
	var walk func(path string, typ reflect.Type)
	walk = func(path string, typ reflect.Type) {
		if typ == reflect.TypeFor[wire.Proof]() || typ == reflect.TypeFor[wire.Statement]() {
			return
		}
		switch typ.Kind() {
		case reflect.Int, reflect.Int64, reflect.Bool:
		case reflect.String:
			if _, ok := safe[typ]; !ok {
				t.Errorf("%s is a %v: a text that no check bounds", path, typ)
			}
		case reflect.Struct:
			for i := range typ.NumField() {
				walk(path+"."+typ.Field(i).Name, typ.Field(i).Type)
			}
		case reflect.Slice, reflect.Array:
			walk(path+"[]", typ.Elem())
		default:
			t.Errorf("%s is a %v: not a type for a message", path, typ)
		}
	}
	for _, m := range wire.ServerMessages() {
		walk(reflect.TypeOf(m).Name(), reflect.TypeOf(m))
	}
}

func FuzzDecodeServer(f *testing.F) {
	for _, m := range []wire.FromServer{wire.Welcome{Version: 1}, collect(), wire.Cancel{Action: action}, wire.Rotate{}, wire.Rebase{Statement: []byte("{}")}, wire.Bye{Reason: wire.ByeBusy}} {
		frame, err := wire.EncodeServer(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := wire.DecodeServer(data)
		if err != nil {
			return
		}
		frame, err := wire.EncodeServer(m)
		if err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
		if again, err := wire.DecodeServer(frame); err != nil || !reflect.DeepEqual(m, again) {
			t.Errorf("%+v reads back as %+v, %v", m, again, err)
		}
	})
}

func FuzzDecodeDevice(f *testing.F) {
	for _, m := range []wire.FromDevice{wire.Hello{Versions: [2]int{1, 1}, Catalog: digest}, wire.Progress{Action: action, Attempt: 1}, wire.Pong{}} {
		frame, err := wire.EncodeDevice(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := wire.DecodeDevice(data); err == nil {
			if _, err := wire.EncodeDevice(m); err != nil {
				t.Fatalf("what was read can't be written: %v", err)
			}
		}
	})
}
