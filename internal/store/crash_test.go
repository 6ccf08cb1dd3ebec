package store_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/device"
	"swab/internal/odata"
	"swab/internal/store"
	"swab/internal/store/storetest"
	"swab/test/postgres"
)

// crashEnv tells a copy of this test program to write to a store until it is killed.
const crashEnv = "SWAB_STORE_CRASH"

func TestMain(m *testing.M) {
	if database := os.Getenv(crashEnv); database != "" {
		fmt.Fprintln(os.Stderr, writeForEver(database))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForEver has many callers create and change actions, and says on the
// standard output what was acknowledged: "created ID", "ended ID".
func writeForEver(database string) error {
	ctx := context.Background()
	s, err := store.Open(ctx, store.Options{Database: database})
	if err != nil {
		return err
	}
	devices, err := s.Devices(ctx, tenantID, device.Everywhere, odata.All())
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
	failed := make(chan error, len(devices.Rows))
	for _, d := range devices.Rows {
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
// the database is opened again, once, and the log is whole.
func TestKilledProcessLosesNothing(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { killWriters(t, storetest.SQLite(t)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		c, err := postgres.Start(false)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		killWriters(t, c.URL)
	})
}

func killWriters(t *testing.T, database string) {
	s := storetest.Open(t, store.Options{Database: database})
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
		killAfter(t, database, rand.IntN(400), acknowledged)
		s := storetest.Open(t, store.Options{Database: database})
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
		checkOnce(t, entries)
		endActive(t, s, tenant)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d actions were acknowledged", len(acknowledged))
}

// checkOnce fails the test if an entry is in the log twice.
func checkOnce(t *testing.T, entries []audit.Logged) {
	t.Helper()
	seen := map[string]int64{}
	for _, e := range entries {
		if first, ok := seen[string(e.Opening.Salt)]; ok {
			t.Errorf("leaf %d is leaf %d again", e.Index, first)
		}
		seen[string(e.Opening.Salt)] = e.Index
	}
}

// endActive ends what was under way, so that every device is free again.
func endActive(t *testing.T, s *store.Store, tenant string) {
	t.Helper()
	devices, err := s.Devices(t.Context(), tenant, device.Everywhere, odata.All())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range devices.Rows {
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
func killAfter(t *testing.T, database string, lines int, acknowledged map[action.ID]string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), crashEnv+"="+database)
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
