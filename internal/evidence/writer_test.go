package evidence

import (
	"archive/zip"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the files of testdata")

// golden compares with a file of testdata, or writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from what is written now (%d bytes, %d now); go test -update rewrites it", name, len(want), len(got))
	}
}

// vector is the package that testdata keeps, for us and for other readers: both
// forms of entry, a table, an original with an escaped name.
func vector() sample {
	return sample{rows: 3, name: "/tmp/100% of \xff?", file: bytes.Repeat([]byte("0123456789abcdef\n"), 80_000)}
}

func TestGoldenPackage(t *testing.T) {
	pkg := vector().build(t)
	golden(t, "v1.zip", pkg)
	golden(t, "v1.zip.receipt", receiptOf(check(t, pkg), key("server")))
}

func TestOldPackagesOpenForEver(t *testing.T) {
	pkg, err := os.ReadFile("testdata/v1.zip")
	if err != nil {
		t.Fatal(err)
	}
	if r := check(t, pkg); r.Class != Intact {
		t.Errorf("class %s: %v", r.Class, r.Flaws)
	}
}

func TestEveryToolOpensAPackage(t *testing.T) {
	pkg := sample{rows: 30_000, file: logLines(3 << 20), name: "/tmp/größe"}.build(t)
	r := check(t, pkg)
	dir, err := zip.NewReader(bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range dir.File {
		rc, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, rc) // archive/zip checks the CRC
		if err != nil || n != r.Entries[i].Size || f.Name != r.Entries[i].Path {
			t.Errorf("archive/zip: %s: %d bytes, %v", f.Name, n, err)
		}
		if strings.HasPrefix(f.Name, "fs/") && f.Modified.Unix() != 1709251199 {
			t.Errorf("%s is of %v, want the file's time", f.Name, f.Modified)
		}
	}
	name := filepath.Join(t.TempDir(), "p.zip")
	if err := os.WriteFile(name, pkg, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tool := range [][]string{
		{"unzip", "-t", name}, {"zip", "-T", name}, {"bsdtar", "-tf", name}, {"7z", "t", name},
		{"python3", "-c", "import zipfile,sys; sys.exit(zipfile.ZipFile(sys.argv[1]).testzip() is not None)", name},
	} {
		if _, err := exec.LookPath(tool[0]); err != nil {
			continue // archive/zip above is the one reader that is always there
		}
		if out, err := exec.Command(tool[0], tool[1:]...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", tool[0], err, out)
		}
	}
}

// TestTablesOpenAtOnce has many tables and originals outgrow their memory at the
// same time: all rows arrive, in order, and parts are whole.
func TestTablesOpenAtOnce(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out, clock)
	const tables, rows, step = 4, 25_000, 500
	var wg sync.WaitGroup
	results := make([]TableResult, tables)
	wg.Go(func() {
		for range 3 {
			f := w.File(Entry{Path: "fs/big", Kind: KindOriginal})
			if _, err := f.Write(logLines(4 << 20)); err != nil {
				t.Error(err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	var open [tables]*Table
	var noise [tables]*rand.Rand
	for i := range tables {
		open[i], noise[i] = w.Table("x", fmt.Sprintf("T/t%d", i), processRow{}), rand.New(rand.NewPCG(1, uint64(i)))
	}
	// None runs far ahead, so that all are open when one has to give way.
	for from := 0; from < rows; from += step {
		var together sync.WaitGroup
		for i, table := range open {
			together.Go(func() {
				for n := range step {
					row := worker(from + n)
					row.Args = nil
					for range 9 { // enough that each of them has more than an entry may hold back
						row.Args = append(row.Args, fmt.Sprintf("%x", noise[i].Uint64()))
					}
					if err := table.Append(row); err != nil {
						t.Error(err)
					}
				}
			})
		}
		together.Wait()
	}
	for i, table := range open {
		wg.Go(func() {
			var err error
			if results[i], err = table.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	k := key("device")
	m := manifest(k)
	for _, it := range plan().Items {
		m.Ledger = append(m.Ledger, Line{Item: it.Name, Outcome: Skipped})
	}
	if err := w.Finish(m, plan(), k); err != nil {
		t.Fatal(err)
	}
	if held := w.held.Load(); held != 0 {
		t.Errorf("%d bytes are still held after the end", held)
	}
	if twins := w.twins.Load(); twins != 0 {
		t.Errorf("%d bytes of twins are still held after the end", twins)
	}
	r := CheckFile(bytes.NewReader(out.Bytes()), int64(out.Len()), DefaultLimits())
	if r.Class != Intact {
		t.Fatal(r.Flaws)
	}
	p, err := Open(bytes.NewReader(out.Bytes()), int64(out.Len()), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	parts := 0
	for i, list := range p.Tables() {
		n := 0
		for row, err := range p.Rows(list) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; fmt.Sprint(row["process.pid"]) != fmt.Sprint(n) {
				t.Fatalf("table %s: row %d is of pid %v", list.Path, n, row["process.pid"])
			}
		}
		if n != rows {
			t.Errorf("table %s has %d rows, want %d", list.Path, n, rows)
		}
		parts += len(list.Parts)
		if results[i].Rows != rows {
			t.Errorf("result %d: %+v", i, results[i])
		}
	}
	if parts <= tables {
		t.Errorf("%d parts of %d tables: none had to go on in another part", parts, tables)
	}
}

// TestTableThatWaitsStopsNobody is the case of a collector that has the ZIP and
// waits for the others: they take the ZIP away from it.
func TestTableThatWaitsStopsNobody(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out, clock)
	fill := func(name string) *Table {
		table := w.Table("x", name, processRow{})
		noise := rand.New(rand.NewPCG(1, 1))
		for i := range 40_000 {
			row := worker(i)
			row.Name = fmt.Sprintf("%x%x%x", noise.Uint64(), noise.Uint64(), noise.Uint64())
			if err := table.Append(row); err != nil {
				t.Fatal(err)
			}
		}
		return table
	}
	first := fill("a") // has the ZIP, and stays open
	if w.owner == nil || w.owner.table != first {
		t.Fatal("the large table does not have the ZIP")
	}
	second, err := fill("b").Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Append(worker(0)); err != nil {
		t.Fatal(err)
	}
	got, err := first.Close()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a.jsonl", "a.2.jsonl"}; !cmp.Equal(got.Entries[:2], want) || !got.CSVLeft == (len(got.Entries) == 2) {
		t.Errorf("entries %q (CSV left out: %v), want %q first", got.Entries, got.CSVLeft, want)
	}
	if second.Rows != 40_000 || got.Rows != 40_001 {
		t.Errorf("rows: %d and %d", second.Rows, got.Rows)
	}
}

func TestLargeTwinIsLeftOut(t *testing.T) {
	w := NewWriter(io.Discard, clock)
	table := w.Table("x", "hashes", processRow{})
	noise := rand.New(rand.NewPCG(2, 2))
	for range 60_000 {
		if err := table.Append(processRow{Name: fmt.Sprintf("%016x%016x%016x%016x", noise.Uint64(), noise.Uint64(), noise.Uint64(), noise.Uint64())}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := table.Close()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"hashes.jsonl"}; !r.CSVLeft || !cmp.Equal(r.Entries, want) {
		t.Errorf("result %+v, want the CSV left out and %q", r, want)
	}
	if w.twins.Load() != 0 {
		t.Errorf("%d bytes of twins are still held", w.twins.Load())
	}
}

func TestWriterStaysSmall(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	w := NewWriter(io.Discard, clock)
	var tables []*Table
	for i := range 18 {
		tables = append(tables, w.Table("x", fmt.Sprint(i), processRow{}))
	}
	for i := range 200_000 {
		if err := tables[i%len(tables)].Append(worker(i)); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > 12<<20 {
		t.Errorf("18 open tables hold %d KiB, want at most 12 MiB", held>>10)
	}
	for _, table := range tables {
		if _, err := table.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// broken takes so many bytes and then fails.
type broken struct{ left int }

var errFull = errors.New("the line is cut")

func (b *broken) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestErrorOfTheStreamEndsEverything(t *testing.T) {
	w := NewWriter(&broken{left: 5 << 19}, clock)
	held := w.File(Entry{Path: "fs/held", Kind: KindOriginal})
	noise := make([]byte, 1<<20)
	src := rand.NewChaCha8([32]byte{})
	src.Read(noise)
	if _, err := held.Write(append(noise, noise...)); err != nil { // it has the ZIP from here on
		t.Fatal(err)
	}
	waits := make(chan error)
	go func() {
		f := w.File(Entry{Path: "fs/waits"})
		waits <- f.Close()
	}()
	if _, err := held.Write(append(noise, noise...)); !errors.Is(err, errFull) {
		t.Errorf("Write: %v, want %v", err, errFull)
	}
	// The one that waits is let go although the entry before it never ends.
	select {
	case err := <-waits:
		if !errors.Is(err, errFull) {
			t.Errorf("Close of another entry: %v, want %v", err, errFull)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("an entry waits for one that can't end")
	}
	if err := held.Close(); !errors.Is(err, errFull) {
		t.Errorf("Close: %v", err)
	}
	if err := w.Finish(manifest(key("device")), plan(), key("device")); !errors.Is(err, errFull) {
		t.Errorf("Finish: %v", err)
	}
}

func TestFinishRefuses(t *testing.T) {
	w := NewWriter(io.Discard, clock)
	table := w.Table("x", "t", processRow{})
	if err := w.Finish(manifest(key("device")), plan(), key("device")); err == nil || !strings.Contains(err.Error(), "still open") {
		t.Errorf("with a table open: %v", err)
	}
	if _, err := table.Close(); err == nil {
		t.Error("Close after a refused Finish gives no error")
	}
	if err := NewWriter(io.Discard, clock).Finish(manifest(key("device")), plan(), key("other")); err == nil || !strings.Contains(err.Error(), "does not end") {
		t.Errorf("with another key: %v", err)
	}
}

func TestUseAfterTheEndIsAnError(t *testing.T) {
	w := NewWriter(io.Discard, clock)
	table := w.Table("x", "t", processRow{})
	table.Close()
	if err := table.Append(processRow{}); err == nil {
		t.Error("Append after Close gives no error")
	}
	f := w.File(Entry{Path: "f"})
	f.Close()
	if _, err := f.Write([]byte("x")); err == nil {
		t.Error("Write after Close gives no error")
	}
	if err := f.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

func TestLongRowIsRefusedAlone(t *testing.T) {
	w := NewWriter(io.Discard, clock)
	table := w.Table("x", "t", processRow{})
	if err := table.Append(processRow{Name: strings.Repeat("x", MaxRow)}); err == nil {
		t.Error("a row over MaxRow is taken")
	}
	if err := table.Append(struct{ X int }{1}); err == nil {
		t.Error("a row of another type is taken")
	}
	if err := table.Append(processRow{Name: "y"}); err != nil {
		t.Errorf("the next row: %v", err)
	}
	if r, err := table.Close(); r.Rows != 1 || err != nil {
		t.Errorf("Close: %+v, %v", r, err)
	}
}
