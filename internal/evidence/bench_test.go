package evidence

import (
	"bytes"
	"crypto/sha256"
	"hash/crc32"
	"io"
	"runtime"
	"testing"

	"github.com/klauspost/compress/flate"
)

// BenchmarkTable is the cost of a row, in both forms, compressed and hashed.
func BenchmarkTable(b *testing.B) {
	rows := make([]processRow, 4096)
	for i := range rows {
		rows[i] = worker(i)
	}
	w := NewWriter(io.Discard, clock)
	table := w.Table("linux.processes", "Processes/processes", processRow{})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := table.Append(&rows[i%len(rows)]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	if _, err := table.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkFile is the cost of an original that compresses like a log.
func BenchmarkFile(b *testing.B) {
	data := logLines(8 << 20)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		w := NewWriter(io.Discard, clock)
		f := w.File(Entry{Path: "fs/x", Kind: KindOriginal})
		if _, err := f.Write(data); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(data))/float64(w.Bytes()), "ratio")
	}
}

// BenchmarkChecker checks a package in chunks as they arrive; bare is what no
// checker can do without: inflate, CRC, and both hashes.
func BenchmarkChecker(b *testing.B) {
	pkg := sample{rows: 100_000, file: logLines(16 << 20)}.build(b)
	r := check(b, pkg)
	var size int64
	for _, f := range r.Entries {
		size += f.Size
	}
	b.Run("checker", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			if r := check(b, pkg); r.Class != Intact {
				b.Fatal(r.Flaws)
			}
		}
	})
	b.Run("bare", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		buf := make([]byte, 64<<10)
		for b.Loop() {
			whole := sha256.New()
			whole.Write(pkg)
			for _, f := range r.Entries {
				var in io.Reader = bytes.NewReader(pkg[f.data : f.data+f.Packed])
				if f.Method == methodDeflate {
					in = flate.NewReader(in)
				}
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(sha256.New(), crc32.NewIEEE())}, in, buf); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// logLines is text like that of a log.
func logLines(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		row := worker(i)
		b.WriteString(row.Start.Format("Jan _2 15:04:05") + " host sshd[" + row.Args[1] + "]: Accepted publickey for " + row.Name + " from " + row.Address.String() + " port 5" + row.Args[1] + "\n")
	}
	return b.Bytes()[:n]
}

// BenchmarkWriterMemory shows what a writer holds with all tables of the catalogue open and full.
func BenchmarkWriterMemory(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		w := NewWriter(io.Discard, clock)
		var tables []*Table
		for i := range 18 {
			tables = append(tables, w.Table("x", "T/"+string(rune('a'+i)), processRow{}))
		}
		for i := range 600_000 {
			if err := tables[i%18].Append(worker(i)); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB-held")
		for _, t := range tables {
			if _, err := t.Close(); err != nil {
				b.Fatal(err)
			}
		}
	}
}
