package evidence

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

// readWorkbook reads back what an XLS of ours holds: the stream out of the
// compound file by its tables, then the records.
func readWorkbook(t *testing.T, file []byte) map[[2]int]string {
	t.Helper()
	le := binary.LittleEndian
	if le.Uint64(file) != 0xe11ab1a1e011cfd0 {
		t.Fatal("no compound file")
	}
	sector := func(n uint32) []byte { at := 512 * (int(n) + 1); return file[at : at+512] }
	var fat []uint32
	for i := range le.Uint32(file[44:]) {
		s := sector(le.Uint32(file[76+4*i:]))
		for j := range 128 {
			fat = append(fat, le.Uint32(s[4*j:]))
		}
	}
	if (len(file)-512)/512 > len(fat) {
		t.Fatalf("%d sectors, and the table has %d", (len(file)-512)/512, len(fat))
	}
	dir := sector(le.Uint32(file[48:]))
	name := dir[128 : 128+le.Uint16(dir[128+64:])-2]
	if got := decodeUTF16(name); got != "Workbook" {
		t.Fatalf("stream %q, want Workbook", got)
	}
	var stream []byte
	for n := le.Uint32(dir[128+116:]); n != sectorEnd; n = fat[n] {
		stream = append(stream, sector(n)...)
	}
	size := le.Uint32(dir[128+120:])
	if size < 4096 || int(size) > len(stream) {
		t.Fatalf("stream of %d bytes in %d", size, len(stream))
	}
	return readSheet(t, stream)
}

func readSheet(t *testing.T, stream []byte) map[[2]int]string {
	t.Helper()
	le := binary.LittleEndian
	cells := map[[2]int]string{}
	var sheetAt uint32
	depth := 0
	for at := 0; ; {
		id, n := le.Uint16(stream[at:]), int(le.Uint16(stream[at+2:]))
		rec := stream[at+4 : at+4+n]
		if n > 8224 {
			t.Fatalf("record %#x of %d bytes", id, n)
		}
		switch id {
		case recBOF:
			if depth++; depth == 2 && at != int(sheetAt) {
				t.Errorf("the sheet is at %d, and said to be at %d", at, sheetAt)
			}
		case recBoundsheet:
			sheetAt = le.Uint32(rec)
		case recLabel:
			if int(le.Uint16(rec[6:]))*2 != n-9 {
				t.Errorf("label of %d characters in %d bytes", le.Uint16(rec[6:]), n)
			}
			cells[[2]int{int(le.Uint16(rec)), int(le.Uint16(rec[2:]))}] = decodeUTF16(rec[9:])
		case recNumber:
			cells[[2]int{int(le.Uint16(rec)), int(le.Uint16(rec[2:]))}] = fmt.Sprint(int64(math.Float64frombits(le.Uint64(rec[6:]))))
		case recEOF:
			if depth == 2 {
				return cells
			}
		}
		at += 4 + n
	}
}

func decodeUTF16(b []byte) string {
	var units []uint16
	for ; len(b) >= 2; b = b[2:] {
		units = append(units, binary.LittleEndian.Uint16(b))
	}
	return string(utf16.Decode(units))
}

func TestSummaryInBothForms(t *testing.T) {
	m := manifest(key("device"))
	m.Ledger = []Line{
		{Item: "linux.sockets", Outcome: Denied, Cause: "Zugriff verweigert: größe 漢字 😀", Code: 13},
		{Item: "linux.processes", Outcome: Truncated, Cause: "=HYPERLINK()", Rows: 214, Bytes: 91234, StartMs: 1500, DurationMs: 41, Source: []string{"/proc/PID/stat", "/proc/PID/exe"},
			Entries: make([]string, 25), Missing: []Miss{{Times: 3}, {}}, Left: Left{Rows: 7}},
	}
	s := summarize(m, plan())
	cells := readWorkbook(t, s.xls())
	for at, want := range map[[2]int]string{
		{0, 0}: "Data Point", {0, 14}: "Notes", {1, 0}: "Running processes", {1, 1}: "linux.processes", {1, 2}: "/proc/PID/stat; /proc/PID/exe",
		{1, 3}: "truncated", {1, 5}: "=HYPERLINK()", {1, 6}: "2026-03-01 12:00:01.500", {1, 7}: "41", {1, 8}: "214", {1, 9}: "91234", {1, 11}: "7", {1, 13}: "4",
		{2, 3}: "denied", {2, 4}: "13", {2, 5}: "Zugriff verweigert: größe 漢字 😀", {2, 8}: "0",
	} {
		if cells[at] != want {
			t.Errorf("cell %v is %q, want %q", at, cells[at], want)
		}
	}
	if !strings.HasSuffix(cells[[2]int{1, 10}], "and 5 more") {
		t.Errorf("files: %q", cells[[2]int{1, 10}])
	}
	want := "Data Point,Item,Collection Method,Execution Status,Error Code,Error,Start Time (UTC),Duration (ms),Rows,Bytes,Files,Rows Left Out,Bytes Left Out,Not Read,Notes"
	lines := strings.Split(string(s.csv()), "\n")
	if d := cmp.Diff(want, lines[0]); d != "" {
		t.Error(d)
	}
	if !strings.Contains(lines[1], `'=HYPERLINK()`) || len(lines) != 4 {
		t.Errorf("CSV of %d lines: %q", len(lines), lines[1])
	}
}

func TestLargeSummaryStaysReadable(t *testing.T) {
	for _, n := range []int{0, 1, 3000, 70_000} {
		s := summary{rows: make([]summaryRow, n)}
		for i := range s.rows {
			s.rows[i].Item = strings.Repeat("ä", i%50)
		}
		if n == 1 {
			s.rows[0].Error = strings.Repeat("😀", 5000)
		}
		file := s.xls()
		cells := readWorkbook(t, file)
		if len(file) > 109*128*512 {
			t.Errorf("%d rows: %d bytes, more than the file's first table of sectors can tell of", n, len(file))
		}
		if n == 3000 && cells[[2]int{3000, 1}] != s.rows[2999].Item {
			t.Errorf("last row: %q", cells[[2]int{3000, 1}])
		}
		if n == 1 && cells[[2]int{1, 5}] != strings.Repeat("😀", 2000) {
			t.Errorf("a long text has %d bytes", len(cells[[2]int{1, 5}]))
		}
	}
}
