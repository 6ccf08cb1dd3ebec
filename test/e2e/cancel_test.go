package e2e

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"swab/client"
)

func TestCancelIsObeyed(t *testing.T) {
	in, c, device := install(t)
	must(t, in.Agents["a"].Kill())
	a, err := c.Collect(t.Context(), device, client.CollectRequest{Comment: "x"})
	must(t, err)
	cancelled, err := c.Cancel(t.Context(), a.ID, "no longer needed")
	must(t, err)
	if cancelled.Status != client.Cancelled || cancelled.CancellationComment != "no longer needed" {
		t.Errorf("cancelled action: %+v", cancelled)
	}
	if _, err := c.Cancel(t.Context(), a.ID, "again"); err == nil {
		t.Error("an action that has ended is cancelled again")
	}
	must(t, in.StartAgent("a"))
	obeyed := 0
	for range 10 { // cancelled at whatever moment it runs
		a, err := c.Collect(within(t, 10*time.Second), device, client.CollectRequest{Comment: "x"})
		must(t, err)
		want := client.Cancelled
		if _, err := c.Cancel(t.Context(), a.ID, ""); err == nil {
			obeyed++
		} else {
			t.Logf("too late: %v", err)
			want = client.Succeeded
		}
		if done, err := c.Wait(within(t, 10*time.Second), a.ID); err != nil || done.Status != want {
			t.Errorf("action %+v, %v; want it %s", done, err, want)
		}
	}
	if obeyed == 0 {
		t.Error("each of ten cancels came too late")
	}
	// The device is free: the next one does not wait for a sweep.
	begun := time.Now()
	succeed(t, c, device)
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the next collection took %v", took)
	}
}

// A cancelled collection stops at once, the device is free, and its bytes are gone.
func TestCancelStopsARunningCollection(t *testing.T) {
	in, c, device, relay := installBehindRelay(t)
	a, err := c.Collect(within(t, 10*time.Second), device, client.CollectRequest{Comment: "x"})
	must(t, err)
	uploads, packages := filepath.Join(in.Data, "uploads"), filepath.Join(in.Data, "packages")
	eventually(t, 30*time.Second, "bytes of the package are on the server", func() bool {
		_, bytes := stored(t, uploads)
		return bytes > 0
	})

	cancelled, err := c.Cancel(within(t, 10*time.Second), a.ID, "no longer needed")
	must(t, err)
	if cancelled.Status != client.Cancelled {
		t.Errorf("cancelled action: %+v", cancelled)
	}
	must(t, in.Agents["a"].Await(within(t, time.Second), "action="+a.ID+" attempt=1 code=")) // cancelled, or lost where the upload's refusal comes first
	eventually(t, 5*time.Second, "nothing of the package is left", func() bool {
		files, _ := stored(t, uploads)
		sealed, _ := stored(t, packages)
		return files+sealed == 0
	})

	relay.holds.Store(false)
	succeed(t, c, device)
	if after, err := c.Action(t.Context(), a.ID); err != nil || after.Status != client.Cancelled {
		t.Errorf("the action afterwards: %+v, %v", after, err)
	}
}

// stored is how many files lie below dir, and how many bytes are in them. A file
// that goes away meanwhile is none.
func stored(t *testing.T, dir string) (files int, bytes int64) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			files, bytes = files+1, bytes+info.Size()
		}
		return err
	}))
	return files, bytes
}

// eventually waits for what nothing announces.
func eventually(t *testing.T, d time.Duration, what string, holds func() bool) {
	t.Helper()
	ctx := within(t, d)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !holds() {
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", d, what)
		}
	}
}
