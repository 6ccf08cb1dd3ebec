package store_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"swab/internal/action"
	"swab/internal/store"
	"swab/internal/store/storetest"
)

// crashEnv tells a copy of this test program to write to a store until it is killed.
const crashEnv = "SWAB_STORE_CRASH"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashEnv); path != "" {
		fmt.Fprintln(os.Stderr, writeForEver(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForEver has many callers create and change actions, and says on the
// standard output what was acknowledged: "created ID", "ended ID".
func writeForEver(path string) error {
	ctx := context.Background()
	s, err := store.Open(ctx, store.Options{Database: "sqlite:" + path})
	if err != nil {
		return err
	}
	devices, err := s.Devices(ctx, tenantID, 0, 0)
	if err != nil {
		return err
	}
	var (
		all sync.WaitGroup
		out sync.Mutex
	)
	say := func(format string, args ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Printf(format, args...)
	}
	failed := make(chan error, len(devices))
	for _, d := range devices {
		all.Go(func() {
			for {
				n := rand.IntN(1 << 40)
				a, err := s.CreateAction(ctx, newAction(d, n), link(n))
				if err != nil {
					failed <- err
					return
				}
				say("created %s\n", a.ID)
				if _, err := s.ChangeAction(ctx, tenantID, a.ID, end); err != nil {
					failed <- err
					return
				}
				say("ended %s\n", a.ID)
			}
		})
	}
	all.Wait()
	return <-failed
}

// TestKilledProcessLosesNothing kills a process that writes, with SIGKILL, at a
// random instant, again and again. Whatever it had acknowledged is there when
// the file is opened again, and the log is whole.
func TestKilledProcessLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "swab.db")
	s := open(t, path)
	tenant, _ := newDevice(t, s)
	for n := range 15 {
		if _, err := enrol(t, s, n+2); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[action.ID]string{}
	for round := range 20 {
		killAfter(t, path, rand.IntN(400), acknowledged)
		s := open(t, path)
		for id, want := range acknowledged {
			a, err := s.Action(t.Context(), tenant, id)
			if err != nil || (want == "ended" && a.Status != action.Failed) {
				t.Errorf("round %d: action %s was acknowledged as %s: %s, %v", round, id, want, a.Status, err)
			}
		}
		head, entries := storetest.Recompute(t, s, tenant)
		if got, err := s.Head(t.Context(), tenant); err != nil || got != head {
			t.Errorf("round %d: Head() = %v, %v; its %d leaves give %v", round, got, err, len(entries), head)
		}
		endActive(t, s, tenant)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d actions were acknowledged", len(acknowledged))
}

// endActive ends what was under way, so that every device is free again.
func endActive(t *testing.T, s *store.Store, tenant string) {
	t.Helper()
	devices, err := s.Devices(t.Context(), tenant, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		a, ok, err := s.ActiveAction(t.Context(), tenant, d.ID)
		if err == nil && ok {
			_, err = s.ChangeAction(t.Context(), tenant, a.ID, end)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter runs writeForEver in a process of its own, kills it once it has
// acknowledged so much, and adds all it acknowledged.
func killAfter(t *testing.T, path string, lines int, acknowledged map[action.ID]string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), crashEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := 0
	for lineOf := bufio.NewReader(out); ; read++ {
		if read == lines {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		line, err := lineOf.ReadString('\n')
		if err != nil {
			break // the end of the pipe; a line without an end was not said
		}
		what, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		acknowledged[id] = what
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Success() || read < lines {
		t.Fatalf("the writer ended by itself after %d lines: %v", read, err)
	}
}
