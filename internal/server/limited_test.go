package server_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/client"
	"swab/internal/api"
	"swab/internal/command"
	"swab/internal/server"
)

// A start with a bad name says which are good.
func TestABadLimitStopsTheStart(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "swab.yaml")
	if err := os.WriteFile(file, []byte("limits:\n  getPackageURL: off\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := command.Read(server.Command, "--config", file, "--data", filepath.Join(dir, "data"))
	if err == nil || !strings.Contains(err.Error(), `there is no API "getPackageURL"`) {
		t.Fatalf("%v", err)
	}
	for name := range api.Limits() {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named: %v", name, err)
		}
	}
}

func TestLimitsHoldUnlessTheyAreOffWhichIsWarnedOf(t *testing.T) {
	for word, want := range map[string]map[string]int{"on": {client.CodeNotFound: 2, client.CodeTooMany: 2}, "off": {client.CodeNotFound: 4}} {
		dir := t.TempDir()
		var log journal
		begin(t, settings(t, dir, "--limits", word), slog.New(slog.NewTextHandler(&log, nil)))
		cred, err := client.ReadCredentials(filepath.Join(dir, "bootstrap.json"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.New(cred.Config())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		// Too short a time for the client to wait until it may ask again.
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		got := map[string]int{}
		for range 4 {
			_, err := c.PackageURI(ctx, "nosuch")
			if e, ok := errors.AsType[*client.Error](err); ok {
				got[e.Code]++
			} else {
				t.Error(err)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("--limits %s (-want +got):\n%s", word, diff)
		}
		if warned := strings.Contains(log.String(), "level=WARN msg=\"limits of calls are off"); warned != (word == "off") {
			t.Errorf("--limits %s: warned %t:\n%s", word, warned, log.String())
		}
	}
}

// journal keeps what is logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}
