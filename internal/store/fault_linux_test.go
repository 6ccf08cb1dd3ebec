package store_test

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"swab/internal/audit"
	"swab/internal/fault"
)

// TestFailingDisk lets the kernel refuse what a commit writes: the write-ahead
// log may not grow. The batch is lost, what was there stays, and writing goes
// on when the disk takes it again.
//
// Threat P2: writing to the disk fails.
func TestFailingDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "swab.db")
	s := open(t, path)
	tenant := newTenant(t, s)
	log, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ) // the write fails with EFBIG instead
	defer signal.Reset(syscall.SIGXFSZ)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	small := syscall.Rlimit{Cur: uint64(log.Size()) + 10_000, Max: was.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	entries := make([]audit.Entry, 1000) // more than fits
	for i := range entries {
		entries[i] = link(i)
	}
	lost := s.Record(t.Context(), tenant, entries...)
	again := s.Record(t.Context(), tenant, entries...)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{lost, again} {
		if !errors.Is(err, fault.Unavailable) {
			t.Errorf("a write that the disk refuses: %v, want Unavailable", err)
		}
	}
	wantLog(t, s, tenant, 1)
	if err := s.Record(t.Context(), tenant, entries...); err != nil {
		t.Errorf("once the disk writes again: %v", err)
	}
	wantLog(t, s, tenant, 1001)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantLog(t, open(t, path), tenant, 1001)
}
