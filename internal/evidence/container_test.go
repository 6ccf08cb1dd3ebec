package evidence

import (
	"archive/zip"
	"bytes"
	"io"
	"testing"
	"time"
)

// sparse is a file of which only some places hold anything.
type sparse map[int64][]byte

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	for at, b := range s {
		for i := range b {
			if n := at + int64(i) - off; n >= 0 && n < int64(len(p)) {
				p[n] = b[i]
			}
		}
	}
	return len(p), nil
}

func TestDirectoryBeyondFourGiB(t *testing.T) {
	entries := []header{
		{name: "a", method: methodDeflate, stream: true, packed: 5 << 30, size: 6 << 30, crc: 1, time: 1e9},
		{name: "b", method: methodStore, packed: 3, size: 3, crc: 2, time: 1e9},
		{name: "c", method: methodDeflate, stream: true, packed: 1 << 21, size: 5 << 30, crc: 3, time: 1e9},
	}
	file := sparse{}
	var at int64
	var dir []byte
	for i := range entries {
		h := &entries[i]
		h.offset = at
		file[at] = h.appendLocal(nil)
		at = h.end()
		dir = h.appendCentral(dir)
	}
	tail := appendEnd(dir, len(entries), int64(len(dir)), at)
	file[at] = tail
	r, err := zip.NewReader(struct{ io.ReaderAt }{file}, at+int64(len(tail)))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range r.File {
		h := entries[i]
		data, err := f.DataOffset()
		if err != nil || f.Name != h.name || int64(f.UncompressedSize64) != h.size || int64(f.CompressedSize64) != h.packed || data != h.offset+h.localLen() {
			t.Errorf("entry %s: %d of %d at %d, %v", f.Name, f.CompressedSize64, f.UncompressedSize64, data, err)
		}
	}
}

func TestManyEntriesNeedTheLargeEnd(t *testing.T) {
	b := appendEnd(nil, max16, 100, 200)
	if len(b) != end64Size+locator64Size+endSize {
		t.Errorf("the end of %d entries has %d bytes", max16, len(b))
	}
	if b := appendEnd(nil, max16-1, 100, 200); len(b) != endSize {
		t.Errorf("the end of %d entries has %d bytes", max16-1, len(b))
	}
}

func TestTimesBeyondTheFormAreClamped(t *testing.T) {
	for _, c := range []struct {
		at    time.Time
		unix  int32
		clock uint16
		date  uint16
	}{
		{time.Date(2024, 2, 29, 23, 59, 59, 9e8, time.UTC), 1709251199, 23<<11 | 59<<5 | 29, 44<<9 | 2<<5 | 29},
		{time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC), -1 << 31, 0, 1<<5 | 1},
		{time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), 1<<31 - 1, 3<<11 | 14<<5 | 3, 58<<9 | 1<<5 | 19},
		{time.Time{}, -1 << 31, 0, 1<<5 | 1},
	} {
		clock, date := dosTime(clampTime(c.at))
		if got := clampTime(c.at); got != c.unix || clock != c.clock || date != c.date {
			t.Errorf("%v is %d, %#x %#x, want %d, %#x %#x", c.at, got, clock, date, c.unix, c.clock, c.date)
		}
	}
}

// TestPackerForgets: what a chunk is compressed to does not hang on the chunks before.
func TestPackerForgets(t *testing.T) {
	text := logLines(chunk)
	var fresh, used packer
	want, _ := fresh.pack(nil, text)
	for i := range 5 {
		used.pack(nil, logLines(chunk)[i*1000:])
		used.pack(nil, text[:i*777])
	}
	if got, _ := used.pack(nil, text); !bytes.Equal(got, want) {
		t.Error("a chunk is compressed otherwise after other chunks")
	}
}
