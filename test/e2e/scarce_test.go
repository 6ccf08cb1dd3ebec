package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"swab/client"
	"swab/internal/store/storetest"
	"swab/test/installation"
)

// What a server does where the machine has too little for it: of disk, of memory,
// of files.

// diskVariable names the disk that a copy of this test has to itself.
const diskVariable = "SWAB_E2E_DISK"

// Threat P2: the disk is full, of the packages alone or of the database too. What
// can't be kept is refused with 503 and the log says why; what was acknowledged is
// there, and all goes on by itself when there is room again.
func TestFullDiskLosesNothing(t *testing.T) {
	if os.Getenv(storetest.Variable) == "postgres" {
		return // its databases are files, whatever others' are: once is enough
	}
	disk := os.Getenv(diskVariable)
	if disk == "" {
		ownDisk(t, "64m")
		return
	}
	t.Run("of the packages", func(t *testing.T) {
		in := installed(t, filepath.Join(disk, "packages"))
		in.Database = "sqlite:" + filepath.Join(in.Dir, "swab.db")
		c, device := launch(t, in)
		room := fill(t, disk)
		a, err := c.Collect(within(t, 10*time.Second), device, client.CollectRequest{Comment: "asked of a full disk"})
		must(t, err)
		must(t, in.Server.Await(within(t, 30*time.Second), "no space left on device"))
		if got, err := c.Action(within(t, 10*time.Second), a.ID); err != nil || got.Status != client.InProgress {
			t.Errorf("on the full disk the action is %s %s, %v; want it to wait", got.Status, got.Trouble, err)
		}
		room()
		a, err = c.Wait(within(t, 90*time.Second), a.ID)
		must(t, err)
		if a.Status != client.Succeeded {
			t.Errorf("what was asked of the full disk is %s: %s", a.Status, a.Trouble)
		}
		whole(t, in, c, a.ID)
	})
	t.Run("of the database too", func(t *testing.T) {
		in := installed(t, filepath.Join(disk, "all"))
		c, device := launch(t, in)
		before := succeed(t, c, device)
		room := fill(t, disk)
		refused := func(what string, err error) {
			t.Helper()
			if e, ok := errors.AsType[*client.Error](err); !ok || e.Status != http.StatusServiceUnavailable {
				t.Errorf("%s on a full disk: %v, want 503", what, err)
			}
		}
		made := map[string]bool{}
		for { // what the database's files have of room serves for a while
			e, err := c.CreateEnrollment(within(t, 10*time.Second), client.EnrollmentRequest{Count: 1})
			if err != nil {
				refused("an enrolment token", err)
				break
			}
			if made[e.ID] = true; len(made) > 20_000 {
				t.Fatal("the database was never full")
			}
		}
		_, err := c.Collect(within(t, 10*time.Second), device, client.CollectRequest{Comment: "asked of a full disk"})
		refused("a collection", err)
		must(t, in.Server.Await(within(t, 10*time.Second), "disk is full"))
		if _, err := c.Machine(within(t, 10*time.Second), device); err != nil {
			t.Errorf("reading from a full disk: %v", err)
		}
		room()
		all, err := c.Enrollments(within(t, 10*time.Second))
		must(t, err)
		for _, e := range all {
			delete(made, e.ID)
		}
		if len(made) > 0 {
			t.Errorf("%d enrolment tokens were acknowledged and are not there", len(made))
		}
		whole(t, in, c, before.ID, succeed(t, c, device).ID)
	})
}

// installed is an installation whose data are on a disk that may become full.
func installed(t *testing.T, data string) *installation.Installation {
	t.Helper()
	in, err := installation.New(programs, t.TempDir())
	must(t, err)
	in.Data, in.Flags = data, []string{"--disk-reserve", "0"} // or it asks for nothing before that
	return in
}

// launch starts an installation that a test has made, and one agent.
func launch(t *testing.T, in *installation.Installation) (c *client.Client, device string) {
	t.Helper()
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	})
	must(t, in.StartServer(within(t, 30*time.Second)))
	must(t, in.StartAgent("a"))
	ids, err := in.AwaitDevices(within(t, 30*time.Second), 1)
	must(t, err)
	return connect(t, in), ids[0]
}

// whole fails the test unless the packages of actions and the log verify.
func whole(t *testing.T, in *installation.Installation, c *client.Client, actions ...string) {
	t.Helper()
	for _, id := range actions {
		if code, out := swab(t, in, "verify", keep(t, c, id), "--trust", filepath.Join(in.Data, "bootstrap.json"), "--require", "authentic"); code != 0 {
			t.Errorf("package of %s: exit %d: %s", id, code, out)
		}
	}
	if code, out := swab(t, in, "audit", "verify"); code != 0 {
		t.Errorf("audit verify: exit %d: %s", code, out)
	}
}

// ownDisk runs the test again by itself, with a disk of so much in memory that
// nobody else sees.
func ownDisk(t *testing.T, size string) {
	t.Helper()
	disk := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "unshare", "--map-root-user", "--mount", "sh", "-ec", `mount -t tmpfs -o size="$1",mode=0700 none "$2"; exec "$3" -test.v -test.run "^$4\$"`,
		"sh", size, disk, os.Args[0], t.Name())
	cmd.Env = append(os.Environ(), diskVariable+"="+disk)
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("on a disk of its own: %v\n%s", err, out)
	}
}

// fill writes to a disk until it takes no more; room gives it back.
func fill(t *testing.T, disk string) (room func()) {
	t.Helper()
	name := filepath.Join(disk, "ballast")
	f, err := os.Create(name)
	must(t, err)
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	return func() { must(t, os.Remove(name)) }
}

// limited are the programs with a limit of the shell's ulimit on the server.
func limited(t *testing.T, limit string) installation.Programs {
	t.Helper()
	p := programs
	p.Server = filepath.Join(t.TempDir(), "swab")
	must(t, os.WriteFile(p.Server, []byte("#!/bin/sh\nulimit "+limit+"\nexec '"+programs.Server+"' \"$@\"\n"), 0o700))
	return p
}

// Threat P12: strangers take every connection of a server that may have few files
// open. Further ones are refused by a reset; who is connected is served, with all
// the files that this takes; and when they have gone others come in.
func TestServerWithoutFilesServesWhoIsConnected(t *testing.T) {
	in, err := installation.New(limited(t, "-n 200"), t.TempDir())
	must(t, err)
	c, device := launch(t, in)
	succeed(t, c, device)

	var strangers []net.Conn
	var refused error
	for n := byte(1); refused == nil; n++ { // an address takes half of all connections at most
		if n > 10 {
			t.Fatal("no connection was refused")
		}
		for dialer := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, n)}}); len(strangers) < 1000; {
			conn, err := tls.DialWithDialer(dialer, "tcp", in.Listen, &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				if n > 1 && len(strangers) > 140 {
					refused = err
				}
				break
			}
			strangers = append(strangers, conn)
			t.Cleanup(func() { conn.Close() })
		}
	}
	t.Logf("%d strangers are connected, the next one: %v", len(strangers), refused)
	succeed(t, c, device) // over connections that were there

	// Not even those are left that the bound leaves for files.
	files := limitFiles(t, in.Server.PID, 0)
	if conn, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Second}, "tcp", in.Listen, &tls.Config{InsecureSkipVerify: true}); err == nil {
		conn.Close()
		t.Error("a server that can open nothing took a connection")
	}
	if _, err := c.Machine(within(t, 10*time.Second), device); err != nil {
		t.Errorf("an old connection of a server that can open nothing: %v", err)
	}
	limitFiles(t, in.Server.PID, files)
	succeed(t, c, device)
	for _, conn := range strangers {
		conn.Close()
	}
	eventually(t, 10*time.Second, "a new connection is taken", func() bool {
		conn, err := tls.Dial("tcp", in.Listen, &tls.Config{InsecureSkipVerify: true})
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// limitFiles sets how many files a process may have open, and returns how many
// it might before.
func limitFiles(t *testing.T, pid int, n uint64) uint64 {
	t.Helper()
	var was unix.Rlimit
	must(t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &was))
	must(t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: was.Max}, nil))
	return was.Cur
}

// Threat P11: a server with half of the memory that it takes otherwise does the
// same work.
func TestServerWithHalfTheMemoryDoesTheSame(t *testing.T) {
	const packages = 3
	took := map[string]time.Duration{}
	var most int64
	for _, memory := range []string{"normal", "half"} {
		t.Run(memory, func(t *testing.T) {
			if memory == "half" {
				t.Setenv("GOMEMLIMIT", strconv.FormatInt(most/2, 10))
			}
			in, c, device := install(t)
			begun := time.Now()
			ctx, stop := context.WithCancel(t.Context())
			var all sync.WaitGroup
			for range 8 { // lists and tokens, beside the packages
				all.Go(func() {
					c := connect(t, in)
					for ctx.Err() == nil {
						if _, err := c.Machines(ctx, client.Page{}); err != nil && ctx.Err() == nil {
							t.Error(err)
							return
						}
					}
				})
			}
			for range packages {
				succeed(t, c, device)
			}
			stop()
			all.Wait()
			took[memory] = time.Since(begun)
			if got := peak(t, in.Server.PID); memory == "normal" {
				most = got
			} else {
				t.Logf("%d packages took %v with a limit of %d MiB, and %v without; the most in memory was %d MiB, and %d MiB without", packages, took["half"], most/2>>20, took["normal"], got>>20, most>>20)
			}
		})
	}
}

// peak is the most that a process had in memory, in bytes, without the pages of
// its program, which Go's limit does not count either.
func peak(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	must(t, err)
	kib := func(field string) int64 {
		_, rest, _ := strings.Cut(string(text), "\n"+field+":")
		line, _, _ := strings.Cut(rest, "kB")
		n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
		must(t, err)
		return n
	}
	return (kib("VmHWM") - kib("RssFile")) << 10
}
