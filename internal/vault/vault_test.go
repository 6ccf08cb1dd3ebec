package vault_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"swab/internal/evidence"
	"swab/internal/fault"
	"swab/internal/vault"
)

func TestUploadIsCheckedWhileItArrives(t *testing.T) {
	c := open(t, vault.Limits{})
	b := randomly(3_000_000)
	u := c.create()
	for at := 0; at < len(b); at += 1_000_000 {
		length := int64(-1)
		if at == 2_000_000 {
			length = int64(len(b))
		}
		got, err := c.append(u.ID, int64(at), length, bytes.NewReader(b[at:at+1_000_000]))
		c.must(err)
		if got.Offset != int64(at)+1_000_000 {
			t.Fatalf("offset = %d", got.Offset)
		}
	}
	for range 2 { // asking twice gives the same
		r, err := c.Verify(t.Context(), u.ID)
		c.must(err)
		if r.SHA256 != sum(b) || r.Size != int64(len(b)) || r.Class != evidence.Unreadable {
			t.Errorf("report = %s %d %s", r.SHA256, r.Size, r.Class)
		}
	}
}

func TestRestartGoesOnWhereTheAcknowledgedBytesEnd(t *testing.T) {
	c := open(t, vault.Limits{})
	b := randomly(500_000)
	u := c.create()
	_, err := c.append(u.ID, 0, -1, bytes.NewReader(b[:200_000]))
	c.must(err)
	// What a killed server had written and not acknowledged.
	f, err := os.OpenFile(c.path("uploads/"+u.ID+".part"), os.O_APPEND|os.O_WRONLY, 0)
	c.must(err)
	_, err = f.Write(randomly(50_000))
	c.must(errors.Join(err, f.Close()))
	c.restart()
	if got := c.whole(u.ID); !bytes.Equal(got, b[:200_000]) {
		t.Errorf("reads %d bytes, want the 200000 acknowledged", len(got))
	}
	got, err := c.append(u.ID, 200_000, int64(len(b)), bytes.NewReader(b[200_000:]))
	c.must(err)
	r, err := c.Verify(t.Context(), u.ID)
	c.must(err)
	if got.State != vault.Complete || r.SHA256 != sum(b) || r.Size != int64(len(b)) {
		t.Errorf("upload = %+v, report %s %d", got, r.SHA256, r.Size)
	}
	c.restart()
	r, err = c.Verify(t.Context(), u.ID)
	c.must(err)
	if r.SHA256 != sum(b) {
		t.Error("verification is not repeated after a restart")
	}
}

func TestLastChunkMayFillTheFlushExactly(t *testing.T) {
	c := open(t, vault.Limits{})
	b := randomly(16 << 20)
	u := c.create()
	_, err := c.append(u.ID, 0, -1, bytes.NewReader(b[:8<<20]))
	c.must(err)
	u, err = c.append(u.ID, 8<<20, 16<<20, bytes.NewReader(b[8<<20:]))
	c.must(err)
	if r, err := c.Verify(t.Context(), u.ID); err != nil || r.SHA256 != sum(b) {
		t.Errorf("Verify = %+v, %v", r, err)
	}
}

func TestWhatArrivedBeforeACutIsKept(t *testing.T) {
	c := open(t, vault.Limits{})
	u := c.create()
	cut := errors.New("cut")
	got, err := c.append(u.ID, 0, -1, io.MultiReader(strings.NewReader("begun"), failing{cut}))
	if !errors.Is(err, cut) || got.Offset != 5 {
		t.Errorf("Append = %+v, %v; want offset 5 and the reader's error", got, err)
	}
	if _, err := c.append(u.ID, 4, -1, strings.NewReader("x")); !errors.Is(err, vault.ErrOffset) || !errors.Is(err, fault.BadRequest) {
		t.Errorf("at another offset: %v, want ErrOffset", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestLengthHolds(t *testing.T) {
	c := open(t, vault.Limits{Bytes: 100})
	r := c.request()
	r.Length = 101
	if _, err := c.Create(t.Context(), r); !errors.Is(err, fault.TooLarge) {
		t.Errorf("Create over the limit: %v", err)
	}
	u := c.create()
	for name, s := range map[string]struct {
		length int64
		bytes  int
		want   fault.Code
	}{
		"declared over the limit": {101, 1, fault.TooLarge},
		"sent over the limit":     {-1, 101, fault.TooLarge},
		"sent over the length":    {10, 11, fault.TooLarge},
	} {
		got, err := c.append(u.ID, 0, s.length, bytes.NewReader(make([]byte, s.bytes)))
		if !errors.Is(err, s.want) || got.State == vault.Complete {
			t.Errorf("%s: %+v, %v; want %s", name, got, err, s.want)
		}
	}
	_, err := c.append(u.ID, 0, 100, bytes.NewReader(make([]byte, 50)))
	c.must(err)
	if _, err := c.append(u.ID, 50, 99, bytes.NewReader(make([]byte, 49))); !errors.Is(err, fault.BadRequest) {
		t.Errorf("another length: %v, want BadRequest", err)
	}
	got, err := c.append(u.ID, 50, -1, bytes.NewReader(make([]byte, 50)))
	if err != nil || got.State != vault.Complete {
		t.Errorf("%+v, %v; want it complete", got, err)
	}
	if _, err := c.append(u.ID, 100, -1, bytes.NewReader(nil)); !errors.Is(err, fault.BadRequest) {
		t.Errorf("bytes for a complete one: %v, want BadRequest", err)
	}
}

func TestOpenUploadsHaveBounds(t *testing.T) {
	c := open(t, vault.Limits{PerDevice: 2, Open: 3})
	r := c.request()
	first, err := c.Create(t.Context(), r)
	c.must(err)
	r.Attempt = 2
	_, err = c.Create(t.Context(), r)
	c.must(err)
	r.Attempt = 3
	if _, err := c.Create(t.Context(), r); !errors.Is(err, fault.TooMany) {
		t.Errorf("a third of one device: %v, want TooMany", err)
	}
	c.create()
	c.restart() // counts are those of the records
	if _, err := c.Create(t.Context(), c.request()); !errors.Is(err, fault.TooMany) {
		t.Errorf("a fourth in all: %v, want TooMany", err)
	}
	_, err = c.Keep(t.Context(), first.ID, "its attempt died")
	c.must(err)
	c.create()
}

func TestNewestWriterTakesOver(t *testing.T) {
	c := open(t, vault.Limits{})
	u := c.create()
	pr, pw := io.Pipe()
	first, err := c.Write(t.Context(), u.ID)
	c.must(err)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer first.Close()
		defer context.AfterFunc(first.Context(), func() { pr.CloseWithError(errors.New("told to stop")) })()
		_, err := first.Append(0, -1, pr)
		if !errors.Is(err, vault.ErrTakenOver) {
			t.Errorf("the first writer ended with %v", err)
		}
	})
	_, err = pw.Write([]byte("from the first"))
	c.must(err)
	second, err := c.Write(t.Context(), u.ID)
	c.must(err)
	defer second.Close()
	if got := second.Upload().Offset; got != 14 {
		t.Errorf("the second finds offset %d, want 14", got)
	}
	wg.Wait()
}

func TestSealIsRepeatable(t *testing.T) {
	c := open(t, vault.Limits{})
	b := []byte("a package")
	u := c.complete(b)
	for range 2 {
		_, err := c.Seal(t.Context(), u.ID, sum(b))
		c.must(err)
		if !bytes.Equal(c.whole(u.ID), b) {
			t.Error("a sealed package reads otherwise")
		}
		c.restart()
	}
	for range 2 {
		got, err := c.Confirm(t.Context(), u.ID)
		c.must(err)
		if got.State != vault.Sealed || got.SHA256 != sum(b) {
			t.Errorf("confirmed: %+v", got)
		}
	}
	info, err := os.Stat(c.path("packages/" + tenantID + "/" + u.Action + ".zip"))
	c.must(err)
	if info.Mode().Perm() != 0o400 {
		t.Errorf("mode = %v, want 0400", info.Mode())
	}
	if _, err := os.Stat(c.path("uploads/" + u.ID + ".part")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the part is still there: %v", err)
	}
	if _, err := c.Seal(t.Context(), u.ID, sum([]byte("other"))); !errors.Is(err, fault.BadRequest) {
		t.Errorf("sealing it as another: %v", err)
	}
	if _, err := c.Keep(t.Context(), u.ID, "late"); !errors.Is(err, fault.BadRequest) {
		t.Errorf("Keep of a sealed one: %v", err)
	}
}

func TestPackageOfOneAttemptNeverReplacesAnothers(t *testing.T) {
	c := open(t, vault.Limits{})
	r := c.request()
	var ups []vault.Upload
	for i, b := range []string{"the first", "the second"} {
		r.Attempt = i + 1
		u, err := c.Create(t.Context(), r)
		c.must(err)
		u, err = c.append(u.ID, 0, int64(len(b)), strings.NewReader(b))
		c.must(err)
		ups = append(ups, u)
	}
	_, err := c.Seal(t.Context(), ups[0].ID, sum([]byte("the first")))
	c.must(err)
	if _, err := c.Seal(t.Context(), ups[1].ID, sum([]byte("the second"))); err == nil {
		t.Error("two attempts are sealed in one place")
	}
	// The first one came too late: its place is given back.
	_, err = c.Keep(t.Context(), ups[0].ID, "late")
	c.must(err)
	_, err = c.Seal(t.Context(), ups[1].ID, sum([]byte("the second")))
	c.must(err)
	_, err = c.Confirm(t.Context(), ups[1].ID)
	c.must(err)
	if a, b := string(c.whole(ups[0].ID)), string(c.whole(ups[1].ID)); a != "the first" || b != "the second" {
		t.Errorf("kept %q and sealed %q", a, b)
	}
	c.must(c.Discard(t.Context(), tenantID, r.Action))
	if got := string(c.whole(ups[1].ID)); got != "the second" {
		t.Errorf("Discard took the sealed package: %q", got)
	}
	if _, err := c.Open(t.Context(), ups[0].ID); !errors.Is(err, fault.NotFound) {
		t.Errorf("a discarded attempt opens: %v", err)
	}
}

func TestQuarantinedBytesStayAsTheyCame(t *testing.T) {
	c := open(t, vault.Limits{})
	u := c.complete([]byte("evil"))
	for range 2 {
		got, err := c.Quarantine(t.Context(), u.ID, "IntegrityError")
		c.must(err)
		if got.State != vault.Quarantined || got.Reason != "IntegrityError" || string(c.whole(u.ID)) != "evil" {
			t.Errorf("upload = %+v", got)
		}
	}
	if _, err := c.Seal(t.Context(), u.ID, sum([]byte("evil"))); !errors.Is(err, fault.BadRequest) {
		t.Errorf("a quarantined upload is sealed: %v", err)
	}
}

func TestLostBytesAreToldAndNotMadeUp(t *testing.T) {
	c := open(t, vault.Limits{})
	for name, lose := range map[string]func(string) error{"removed": os.Remove, "truncated": func(p string) error { return os.Truncate(p, 3) }} {
		u := c.create()
		_, err := c.append(u.ID, 0, -1, strings.NewReader("acknowledged"))
		c.must(err)
		c.must(lose(c.path("uploads/" + u.ID + ".part")))
		if _, err := c.append(u.ID, 12, -1, strings.NewReader("more")); !errors.Is(err, fault.NotFound) {
			t.Errorf("%s: %v, want NotFound so that the device begins anew", name, err)
		}
		if got, err := c.Upload(t.Context(), u.ID); err != nil || got.State != vault.Deleted {
			t.Errorf("%s: upload = %+v, %v", name, got, err)
		}
	}
	u := c.complete([]byte("a package"))
	_, err := c.Seal(t.Context(), u.ID, sum([]byte("a package")))
	c.must(err)
	_, err = c.Confirm(t.Context(), u.ID)
	c.must(err)
	c.must(os.Remove(c.path("packages/" + tenantID + "/" + u.Action + ".zip")))
	_, err = c.Open(t.Context(), u.ID)
	if code, _ := fault.Of(err); err == nil || code != fault.Internal || !strings.Contains(err.Error(), u.Action) {
		t.Errorf("Open of a lost package: %v, want our own failure that names the action", err)
	}
}

func TestOrphansAreLeftUnlessEmpty(t *testing.T) {
	c := open(t, vault.Limits{})
	empty, full := strings.Repeat("a", 32), strings.Repeat("b", 32)
	c.must(os.WriteFile(c.path("uploads/"+empty+".part"), nil, 0o600))
	c.must(os.WriteFile(c.path("uploads/"+full+".part"), []byte("evidence"), 0o600))
	gone := c.create()
	c.must(c.Delete(t.Context(), gone.ID, "cancelled"))
	c.must(os.WriteFile(c.path("uploads/"+gone.ID+".part"), []byte("left by a crash"), 0o600))
	c.restart()
	for name, want := range map[string]bool{empty: false, full: true, gone.ID: false} {
		if _, err := os.Stat(c.path("uploads/" + name + ".part")); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %v", name, err, want)
		}
	}
}

func TestDeletedWhileWritten(t *testing.T) {
	c := open(t, vault.Limits{})
	u := c.create()
	w, err := c.Write(t.Context(), u.ID)
	c.must(err)
	c.must(c.Delete(t.Context(), u.ID, "cancelled"))
	if w.Context().Err() == nil {
		t.Error("the writer is not told")
	}
	if _, err := w.Append(0, -1, strings.NewReader("late")); !errors.Is(err, fault.NotFound) {
		t.Errorf("Append: %v, want NotFound", err)
	}
	w.Close()
	if _, err := os.Stat(c.path("uploads/" + u.ID + ".part")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file came back: %v", err)
	}
}

// Threat P2: a disk that has no room for an upload.
func TestFullDiskIsUnavailableAndNothingIsLost(t *testing.T) {
	c := open(t, vault.Limits{})
	u := c.create()
	part := c.path("uploads/" + u.ID + ".part")
	c.must(os.Remove(part))
	c.must(os.Symlink("/dev/full", part)) // each write to it fails with ENOSPC
	_, err := c.append(u.ID, 0, -1, strings.NewReader("x"))
	if !errors.Is(err, fault.Unavailable) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("full disk: %v, want Unavailable because of ENOSPC", err)
	}
	c.must(os.Remove(part))
	c.must(os.WriteFile(part, nil, 0o600)) // there is room again
	got, err := c.append(u.ID, 0, 1, strings.NewReader("x"))
	if err != nil || got.State != vault.Complete {
		t.Errorf("with room again: %+v, %v", got, err)
	}
}

func TestNamesThatAreNoIdsMakeNoPath(t *testing.T) {
	c := open(t, vault.Limits{})
	r := c.request()
	for _, spoil := range []func(*vault.Request){
		func(r *vault.Request) { r.Action = "../../etc/passwd" },
		func(r *vault.Request) { r.Tenant = ".." },
		func(r *vault.Request) { r.Action = "" },
		func(r *vault.Request) { r.Attempt = 0 },
	} {
		bad := r
		spoil(&bad)
		if _, err := c.Create(t.Context(), bad); !errors.Is(err, fault.InvalidInput) {
			t.Errorf("Create(%+v): %v, want InvalidInput", bad, err)
		}
	}
}

func BenchmarkUpload(b *testing.B) {
	c := open(b, vault.Limits{})
	data := randomly(64 << 20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		u := c.create()
		for at := 0; at < len(data); at += 8 << 20 {
			if _, err := c.append(u.ID, int64(at), int64(len(data)), bytes.NewReader(data[at:at+8<<20])); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := c.Verify(b.Context(), u.ID); err != nil {
			b.Fatal(err)
		}
	}
}
