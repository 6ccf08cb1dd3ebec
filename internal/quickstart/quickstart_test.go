package quickstart_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"swab/client"
	"swab/internal/agent"
	"swab/internal/cli"
	"swab/internal/command"
	"swab/internal/command/commandtest"
	"swab/internal/quickstart"
	"swab/internal/server"
)

func swab(ctx context.Context, args []string, env command.Env) int {
	return cli.Main(ctx, args, env, server.Command, agent.Command, quickstart.Command)
}

// The quickstart starts its own binary as the agent: here that is the test.
func TestMain(m *testing.M) {
	commandtest.Main(m, os.Exit, map[string]commandtest.Program{"swab": swab})
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func packages(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "packages", "*.zip"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func logs(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"server.log", "agent.log"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		t.Logf("%s (%v):\n%s", name, err, b[max(0, len(b)-4000):])
	}
}

func TestOneCommandGivesAJudgedPackageAndASecondRunGoesOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's data")
	var listen string
	for run := 1; run <= 2; run++ {
		got := commandtest.Call(within(t, time.Minute), swab, nil, "quickstart", "--once", "--data", dir)
		if got.Code != 0 {
			logs(t, dir)
			t.Fatalf("run %d: code %d\n%s%s", run, got.Code, got.Stdout, got.Stderr)
		}
		for _, want := range []string{
			`(?m)^verdict +authentic: every byte is as device [0-9a-f]{40} signed it, and as the server's receipt`,
			`(?m)^package +` + regexp.QuoteMeta(dir) + `/packages/[0-9a-f-]{36}\.zip `,
			`(?m)^  linux\.processes +(?:collected|truncated) +[1-9]`,
			`(?m)^  server started +[0-9.]+ ms$`, `(?m)^  answered to succeeded +[0-9.]+ ms$`,
			`(?m)^  answered to begun by the agent +[0-9.]+ m?s$`, `(?m)^  answered to stage 0 in memory +[0-9.]+ ms$`,
			`(?m)^progress +`,
		} {
			if !regexp.MustCompile(want).MatchString(got.Stdout) {
				t.Errorf("run %d: want %s in\n%s", run, want, got.Stdout)
			}
		}
		if n := len(packages(t, dir)); n != run {
			t.Errorf("run %d: %d packages in %s", run, n, dir)
		}
		address := regexp.MustCompile(`(?m)^server +(https://127\.0\.0\.1:\d+)$`).FindString(got.Stdout)
		if run > 1 && address != listen {
			t.Errorf("the second run is at %q, the first one was at %q", address, listen)
		}
		listen = address
		if m := regexp.MustCompile(`(?s)clientSecret": "([^"]+)`).FindStringSubmatch(read(t, filepath.Join(dir, "bootstrap.json"))); m == nil || strings.Contains(got.Stdout, m[1]) {
			t.Error("the secret is on the terminal")
		}
	}
	for _, p := range packages(t, dir) {
		got := commandtest.Call(t.Context(), swab, nil, "verify", p, "--trust", filepath.Join(dir, "bootstrap.json"), "--require", "authentic")
		if got.Code != 0 {
			t.Errorf("verify %s: %+v", p, got)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// up is a quickstart that stays up.
type up struct {
	dir       string
	said      string // until then
	interrupt context.CancelFunc
	end       func() (code int, stderr string) // waits for the end
}

func stayUp(t *testing.T, dir string) up {
	t.Helper()
	ctx, interrupt := context.WithCancel(within(t, 2*time.Minute))
	r, w := io.Pipe()
	var stderr strings.Builder
	code := make(chan int, 1)
	go func() {
		env := command.System()
		env.Stdout, env.Stderr = w, &stderr
		env.Getenv = func(name string) string {
			if strings.HasPrefix(name, "SWAB_") {
				return ""
			}
			return os.Getenv(name)
		}
		code <- swab(ctx, []string{"quickstart", "--data", dir}, env)
		w.Close()
	}()
	var said strings.Builder
	for lines := bufio.NewScanner(r); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(lines.Text(), "The server stays up.") {
			break
		}
	}
	return up{dir: dir, said: said.String(), interrupt: interrupt, end: func() (int, string) {
		io.Copy(io.Discard, r)
		return <-code, stderr.String()
	}}
}

// onPath puts a swab of this test's on the shell's path.
func onPath(t *testing.T) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(binary, filepath.Join(dir, "swab")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// The lines that are printed for doing it by hand are run as they are.
func TestStaysUpUntilInterruptedAndTheLinesPrintedWork(t *testing.T) {
	onPath(t)
	q := stayUp(t, filepath.Join(t.TempDir(), "data"))
	_, script, ok := strings.Cut(q.said, "The same by hand:\n\n")
	if !ok {
		logs(t, q.dir)
		t.Fatalf("no lines to copy in\n%s", q.said)
	}
	script, _, _ = strings.Cut(script, "\nThe server stays up.")
	sh := exec.CommandContext(t.Context(), "sh", "-eu")
	sh.Dir, sh.Stdin = t.TempDir(), strings.NewReader(script)
	out, err := sh.CombinedOutput()
	if err != nil || !strings.Contains(string(out), ".zip: authentic: ") {
		logs(t, q.dir)
		t.Errorf("by hand: %v\n%s\nthe lines were:\n%s", err, out, script)
	}
	commands(t, q.dir)

	q.interrupt()
	if code, stderr := q.end(); code != 0 || stderr != "" {
		t.Errorf("after the interrupt: code %d\n%s", code, stderr)
	}
	if log := read(t, filepath.Join(q.dir, "agent.log")); strings.Contains(log, "panic") {
		t.Errorf("the agent's log:\n%s", log)
	}
}

// commands runs the commands for people against a real server.
func commands(t *testing.T, dir string) {
	t.Helper()
	pkg := packages(t, dir)[0]
	action := strings.TrimSuffix(filepath.Base(pkg), ".zip")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "web1.zip")
	for _, tc := range []struct {
		args string
		code int
		want string
	}{
		{"device list", 0, `(?i)\b` + regexp.QuoteMeta(host)},
		{"action list", 0, action},
		{"action show " + action, 0, `(?m)^status +Succeeded$`},
		{"action cancel " + action, 1, `^swab: Action \S+ is in state Succeeded and can't be cancelled \(BadRequest, request \S+\)\n$`},
		{"action show " + strings.Repeat("0", 36), 1, `^swab: no action "0{36}"\n$`},
		{"collect nosuch --comment x", 1, `^swab: no device "nosuch"\n$`},
		{"collect " + host + " --comment x --output " + out, 0, `(?m)^verdict +authentic: `},
		{"audit verify --package " + out + " --package " + pkg, 0, `(?m)^verdict +the log is whole`},
	} {
		args := append(strings.Fields(tc.args), "--credentials", filepath.Join(dir, "bootstrap.json"))
		got := commandtest.Call(within(t, time.Minute), swab, nil, args...)
		if got.Code != tc.code || !regexp.MustCompile(tc.want).MatchString(got.Stdout+got.Stderr) {
			t.Errorf("swab %s: code %d, want %d and %s\n%s%s", tc.args, got.Code, tc.code, tc.want, got.Stdout, got.Stderr)
		}
	}
	if got := commandtest.Call(t.Context(), swab, nil, "show", out, "processes"); got.Code != 0 || !strings.Contains(got.Stdout, `"process.pid":`) {
		t.Errorf("swab show: %+v", got)
	}
}

// An action that an earlier run left is followed to its end, not fought.
func TestAnEarlierRunsActionIsFollowed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if got := commandtest.Call(within(t, time.Minute), swab, nil, "quickstart", "--once", "--data", dir); got.Code != 0 {
		logs(t, dir)
		t.Fatalf("%+v", got)
	}
	pending := leaveAction(t, dir)
	got := commandtest.Call(within(t, time.Minute), swab, nil, "quickstart", "--once", "--data", dir)
	if got.Code != 0 || !strings.Contains(got.Stdout, pending+" has not ended; waiting for it") || len(packages(t, dir)) != 2 {
		logs(t, dir)
		t.Errorf("code %d, want %s to be followed\n%s%s", got.Code, pending, got.Stdout, got.Stderr)
	}
	if strings.Contains(got.Stdout, "answered to succeeded") {
		t.Errorf("an earlier run's time is told as this one's:\n%s", got.Stdout)
	}
}

// leaveAction asks for a package while no agent runs, and returns the action.
func leaveAction(t *testing.T, dir string) string {
	t.Helper()
	cred, err := client.ReadCredentials(filepath.Join(dir, "bootstrap.json"))
	if err != nil {
		t.Fatal(err)
	}
	settings, err := command.Read(server.Command, "--data", dir, "--listen", strings.TrimPrefix(cred.APIBase, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(within(t, time.Minute))
	srv, err := server.New(ctx, *settings.(*server.Config), slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	<-srv.Ready()
	c, err := client.New(cred.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	machines, err := c.Machines(ctx, client.Page{})
	if err != nil || len(machines) != 1 {
		t.Fatalf("%d devices, %v", len(machines), err)
	}
	a, err := c.Collect(ctx, machines[0].ID, client.CollectRequest{Comment: "left behind"})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return a.ID
}

func TestAStepThatFailsSaysWhichWhyAndWhatToDo(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	broken := filepath.Join(dir, "broken")
	if err := os.Mkdir(broken, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(broken, "quickstart.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ args, want string }{
		"data is a file":      {"--data " + file, "swab: data directory: .*not a directory; give --data DIR, one that you may write to\n"},
		"the address is used": {"--data " + filepath.Join(dir, "d") + " --listen " + taken.Addr().String(), "swab: server: listen at .*address already in use.*end it first or give --data DIR\n"},
		"no address":          {"--data " + filepath.Join(dir, "e") + " --listen nowhere", "swab: server's settings: --listen nowhere: .*; give --listen HOST:PORT"},
		"remembers nonsense":  {"--data " + broken, "swab: address: .*quickstart.json: .*; give --listen HOST:PORT\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got := commandtest.Call(within(t, time.Minute), swab, nil, append([]string{"quickstart", "--once"}, strings.Fields(tc.args)...)...)
			if got.Code != 1 || !regexp.MustCompile("^"+tc.want).MatchString(got.Stderr) {
				t.Errorf("code %d, %q, want %q", got.Code, got.Stderr, tc.want)
			}
		})
	}
}
