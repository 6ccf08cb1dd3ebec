package command_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/command"
	"swab/internal/command/commandtest"
)

type serve struct {
	Config command.ConfigFile `help:"File of settings" env:"SWAB_CONFIG" placeholder:"FILE"`
	Listen string             `help:"Address" env:"SWAB_LISTEN" default:"127.0.0.1:1"`
	URL    []string           `name:"url" help:"Base URLs" env:"SWAB_URL" sep:"none"`
	Top    int                `help:"How many" env:"SWAB_TOP" default:"7"`
	Wait   time.Duration      `help:"How long" env:"SWAB_WAIT" default:"1s"`
	Level  string             `help:"Log level" enum:"debug,info" default:"info"`
	Key    command.Secret     `help:"A key" env:"SWAB_KEY"`
	Token  command.Secret     `help:"A token" env:"SWAB_TOKEN" argv:"allowed"`
	JSON   bool               `name:"json" help:"As JSON" env:"SWAB_JSON"`
}

func (s *serve) Check() error {
	var errs []error
	if s.Top > 100 {
		errs = append(errs, fmt.Errorf("--top: %d is over 100", s.Top))
	}
	if strings.HasPrefix(s.Listen, "0.") && len(s.URL) == 0 {
		errs = append(errs, errors.New("--listen: a wildcard needs --url"))
	}
	return errors.Join(errs...)
}

func (s *serve) Run(_ context.Context, env command.Env) error {
	fmt.Fprintf(env.Stdout, "%s %q %d %s %s %s %d %v", s.Listen, s.URL, s.Top, s.Wait, s.Level, s.Key, len(s.Key.Reveal()), s.JSON)
	return nil
}

type fail struct {
	Text string `arg:"" help:"What to say"`
	Code int
}

func (f *fail) Help() string { return "Exits with the code asked for." }
func (f *fail) Run(context.Context, command.Env) error {
	switch f.Code {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("read %s", f.Text)
	}
	return &command.ExitError{Code: f.Code, Err: errors.New(f.Text)}
}

type list struct{}

func (*list) Run(_ context.Context, env command.Env) error {
	fmt.Fprint(env.Stdout, "listed")
	return nil
}

type quiet struct{}

func (*quiet) Run(context.Context, command.Env) error { return &command.ExitError{Code: 9} }

func program(ctx context.Context, args []string, env command.Env) int {
	return command.Main(ctx, args, env, "prog", []command.Command{
		{Name: "serve", Help: `Serve "all" of it`, Run: func() command.Runner { return &serve{} }},
		{Name: "fail", Help: "Fail", Run: func() command.Runner { return &fail{} }},
		{Name: "quiet", Help: "Fail without a word", Run: func() command.Runner { return &quiet{} }},
		{Name: "device", Help: "Devices", Verbs: []command.Command{
			{Name: "list", Help: "List them", Run: func() command.Runner { return &list{} }},
		}},
	})
}

func TestFlagWinsOverVariableOverFileOverDefault(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("listen: file:1\ntop: 0x10\nurl: [a, 'b,c']\njson: true\nkey: abc\nlevel: debug\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		vars, args []string
		want       string
	}{
		{nil, nil, `127.0.0.1:1 [] 7 1s info  0 false`},
		{nil, []string{"--config", file}, `file:1 ["a" "b,c"] 16 1s debug *** 3 true`},
		{[]string{"SWAB_CONFIG=" + file, "SWAB_TOP=3", "SWAB_URL=x"}, nil, `file:1 ["x"] 3 1s debug *** 3 true`},
		{[]string{"SWAB_CONFIG=" + file, "SWAB_TOP=3"}, []string{"--top=4", "--url=u", "--url=v", "--json=false"}, `file:1 ["u" "v"] 4 1s debug *** 3 false`},
		{[]string{"SWAB_TOP="}, nil, `127.0.0.1:1 [] 7 1s info  0 false`},
	} {
		got := commandtest.Call(t.Context(), program, tc.vars, append([]string{"serve"}, tc.args...)...)
		if diff := cmp.Diff(commandtest.Result{Stdout: tc.want}, got); diff != "" {
			t.Errorf("%v %v (-want +got):\n%s", tc.vars, tc.args, diff)
		}
	}
}

type bound struct {
	Config command.ConfigFile `help:"File of settings"`
	Top    int                `help:"How many"`
	Limits command.Table      `help:"Limits" env:"SWAB_LIMITS" default:"on" placeholder:"on|off"`
}

func (b *bound) Run(_ context.Context, env command.Env) error {
	return json.NewEncoder(env.Stdout).Encode(b.Limits)
}

func TestATableIsAWordOrAMappingInTheFile(t *testing.T) {
	for _, tc := range []struct {
		file, variable, flag, err string
		want                      command.Table
	}{
		{want: command.Table{Word: "on"}},
		{flag: "off", want: command.Table{Word: "off"}},
		{variable: "off", file: "limits: on", want: command.Table{Word: "off"}},
		{file: "limits: off", want: command.Table{Word: "off"}},
		{file: "limits: {x: off, y: {minute: 2}}", want: command.Table{Rows: map[string]command.Row{"x": {Word: "off"}, "y": {Cells: map[string]string{"minute": "2"}}}}},
		{file: "limits: {x: off}", flag: "on", want: command.Table{Word: "on"}},
		{file: "limits: [x, y]", err: "--limits (from FILE): takes a single value or a mapping of names"},
		{file: "limits: {x: [y]}", err: "--limits (from FILE): x takes a single value or a mapping"},
		{file: "limits: {x: {y: [z]}}", err: "--limits (from FILE): x: y takes a single value"},
		{file: "top: {x: 1}", err: `settings FILE: "top" takes a single value or a list`},
	} {
		file := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(file, []byte(tc.file+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"bound", "--config", file}
		if tc.flag != "" {
			args = append(args, "--limits", tc.flag)
		}
		result := commandtest.Call(t.Context(), func(ctx context.Context, args []string, env command.Env) int {
			return command.Main(ctx, args, env, "prog", []command.Command{{Name: "bound", Help: "Bound it", Run: func() command.Runner { return &bound{} }}})
		}, []string{"SWAB_LIMITS=" + tc.variable}, args...)
		if tc.err != "" {
			if want := "prog: " + strings.ReplaceAll(tc.err, "FILE", file) + "\n"; result.Code != command.ExitUsage || !strings.Contains(result.Stderr, want) {
				t.Errorf("%q: %d %q, want %q", tc.file, result.Code, result.Stderr, want)
			}
			continue
		}
		var got command.Table
		err := json.Unmarshal([]byte(result.Stdout), &got)
		if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
			t.Errorf("%+v: %v %s (-want +got):\n%s", tc, err, result.Stderr, diff)
		}
	}
}

func TestAllBadSettingsAreReportedAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("wait: soon\ntopp: 3\nconfig: x\nlisten: 0.0.0.0:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := commandtest.Call(t.Context(), program, []string{"SWAB_TOP=many", "SWAB_CONFIG=" + file}, "serve", "--level=loud", "--key=abc")
	want := commandtest.Result{Code: 2, Stderr: strings.ReplaceAll(`prog: --level: must be one of debug,info, not "loud"
prog: --key: is not taken from the command line, where others can read it; set SWAB_KEY
prog: settings FILE: unknown key "config"
prog: settings FILE: unknown key "topp"
prog: --top (from SWAB_TOP): expected a valid 64 bit int but got "many"
prog: --wait (from FILE): expected duration but got "soon": time: invalid duration "soon"
prog: --listen: a wildcard needs --url
`, "FILE", file)}
	if diff := cmp.Diff(want.Stderr, got.Stderr); diff != "" || got.Code != 2 {
		t.Errorf("code %d (-want +got):\n%s", got.Code, diff)
	}
}

func TestExitCodesAndMessages(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want commandtest.Result
	}{
		{[]string{"fail", "x"}, commandtest.Result{}},
		{[]string{"fail", "x", "--code=1"}, commandtest.Result{Code: 1, Stderr: "prog: read x\n"}},
		{[]string{"fail", "x", "--code=4"}, commandtest.Result{Code: 4, Stderr: "prog: x\n"}},
		{[]string{"fail", "a\x1b[2Jb\nc", "--code=4"}, commandtest.Result{Code: 4, Stderr: `prog: a\x1b[2Jb\nc` + "\n"}},
		{[]string{"quiet"}, commandtest.Result{Code: 9}},
		{[]string{"device", "list"}, commandtest.Result{Stdout: "listed"}},
		{[]string{"device"}, commandtest.Result{Code: 2, Stderr: `prog: device needs a verb; "prog device --help" tells more` + "\n"}},
		{nil, commandtest.Result{Code: 2, Stderr: `prog: which command? "prog --help" tells more` + "\n"}},
		{[]string{"fail"}, commandtest.Result{Code: 2, Stderr: `prog: expected "<text>"; "prog fail --help" tells more` + "\n"}},
		{[]string{"fail", "x", "--cod=1"}, commandtest.Result{Code: 2, Stderr: `prog: unknown flag --cod, did you mean "--code"?; "prog fail --help" tells more` + "\n"}},
		{[]string{"serv"}, commandtest.Result{Code: 2, Stderr: `prog: unexpected argument serv, did you mean "serve"?; "prog --help" tells more` + "\n"}},
		{[]string{"serve", "--top"}, commandtest.Result{Code: 2, Stderr: `prog: --top: expected int value but got "EOL" (<EOL>)` + "\n"}},
	} {
		got := commandtest.Call(t.Context(), program, nil, tc.args...)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tc.args, diff)
		}
	}
}

func TestMissingFileOfSettingsIsNamed(t *testing.T) {
	got := commandtest.Call(t.Context(), program, nil, "serve", "--config", "/nowhere/x.yaml")
	if want := "prog: settings /nowhere/x.yaml: no such file or directory\n"; got.Stderr != want || got.Code != 2 {
		t.Errorf("got %+v, want %q", got, want)
	}
}

func TestHelpGoesToStdoutAndHidesNothingButFlagsThatAreNone(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"serve", "--help"}, {"fail", "-h"}, {"device", "--help"}} {
		got := commandtest.Call(t.Context(), program, []string{"SWAB_TOP=many"}, args...)
		if got.Code != 0 || got.Stderr != "" || !strings.HasPrefix(got.Stdout, "Usage: prog") {
			t.Errorf("%q: got %+v", args, got)
		}
	}
	help := commandtest.Call(t.Context(), program, nil, "serve", "--help").Stdout
	for _, want := range []string{"($SWAB_LISTEN)", "--token", "--config=FILE", `Serve "all" of it`} {
		if !strings.Contains(help, want) {
			t.Errorf("help lacks %q:\n%s", want, help)
		}
	}
	if strings.Contains(help, "--key") {
		t.Errorf("help offers a secret as a flag:\n%s", help)
	}
	if help := commandtest.Call(t.Context(), program, nil, "fail", "--help").Stdout; !strings.Contains(help, "Exits with the code asked for.") {
		t.Errorf("help lacks the command's own text:\n%s", help)
	}
}

func TestSecretIsNeverSeen(t *testing.T) {
	s := command.Secret("hunter2")
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", s, "in", struct{ Key command.Secret }{s})
	encoded, err := json.Marshal(struct{ Key command.Secret }{s})
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(encoded) + fmt.Sprintf("%s %v %+v %#v %q %x %d", s, s, struct{ S command.Secret }{s}, s, s, s, s)
	if strings.Contains(all, "hunter2") || strings.Contains(all, fmt.Sprintf("%x", "hunter2")) {
		t.Errorf("the secret is seen: %s", all)
	}
	if s.Reveal() != "hunter2" || command.Secret("").String() != "" {
		t.Error("a secret can't be used, or an empty one looks set")
	}
}

func TestSecretInABadVariableIsNotPrinted(t *testing.T) {
	got := commandtest.Call(t.Context(), program, nil, "serve", "--key=hunter2")
	if got.Code != 2 || strings.Contains(got.Stderr, "hunter2") {
		t.Errorf("got %+v", got)
	}
	if got := commandtest.Call(t.Context(), program, nil, "serve", "--token=hunter2"); got.Code != 0 {
		t.Errorf("a token that may stand on the command line is refused: %+v", got)
	}
}

func TestPrintableShowsWhatATerminalWouldObey(t *testing.T) {
	for in, want := range map[string]string{
		"plain — text, Ünïcode, 漢字 🙂": "plain — text, Ünïcode, 漢字 🙂",
		"a\x1b[31mb":                  `a\x1b[31mb`,
		"a\u202eb\u2066c\u200b":       `a\u202eb\u2066c\u200b`,
		"a\nb\tc\rd\x00\x7f\u0085":    `a\nb\tc\rd\x00\x7f\u0085`,
		"bad \xff\xfe":                `bad \xff\xfe`,
		"\ufffd":                      `\ufffd`,
		"\U000e0041":                  `\U000e0041`,
		"a\u2028b":                    `a\u2028b`,
	} {
		if got := command.Printable(in); got != want {
			t.Errorf("Printable(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestReadGivesDefaultsAndNoEnvironment(t *testing.T) {
	t.Setenv("SWAB_TOP", "9")
	c := command.Command{Name: "serve", Run: func() command.Runner { return &serve{} }}
	r, err := command.Read(c, "--listen", "[::1]:5", "--url=a b")
	if err != nil {
		t.Fatal(err)
	}
	want := &serve{Listen: "[::1]:5", URL: []string{"a b"}, Top: 7, Wait: time.Second, Level: "info"}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := command.Read(c, "--listen"); err == nil {
		t.Error("bad settings are taken")
	}
}

func TestPageHasEverySettingOnce(t *testing.T) {
	page, err := command.Page("prog", []command.Command{
		{Name: "serve", Help: "Serve", Run: func() command.Runner { return &serve{} }},
		{Name: "device", Help: "Devices", Verbs: []command.Command{{Name: "list", Help: "List them", Run: func() command.Runner { return &list{} }}}},
		{Name: "fail", Help: "Fail", Run: func() command.Runner { return &fail{} }},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"## prog serve\n\nServe.\n", "## prog device list\n", "Exits with the code asked for.",
		"| `--top=7` | `SWAB_TOP` | How many Default: `7`. |\n",
		"| in the file: `key` | `SWAB_KEY` | A key |\n",
		"| `--level=\"info\"` |  | Log level One of debug, info. Default: `info`. |\n",
		"| `<text>` | What to say |\n",
	} {
		if strings.Count(page, want) != 1 {
			t.Errorf("want %q once in:\n%s", want, page)
		}
	}
}
