package evidence

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

type state string

type common struct {
	Host string `json:"host.id" csv:"Host"`
}

// everyKind has a column of each type that a table takes.
type everyKind struct {
	common
	Text   state      `json:"text" csv:"Text"`
	Yes    bool       `json:"yes" csv:"Yes"`
	I      int        `json:"i" csv:"I"`
	I8     int8       `json:"i8" csv:"I8"`
	I16    int16      `json:"i16" csv:"I16"`
	I32    int32      `json:"i32" csv:"I32"`
	I64    int64      `json:"i64" csv:"I64"`
	U      uint       `json:"u" csv:"U"`
	U8     uint8      `json:"u8" csv:"U8"`
	U16    uint16     `json:"u16" csv:"U16"`
	U32    uint32     `json:"u32" csv:"U32"`
	U64    uint64     `json:"u64" csv:"U64"`
	F      float64    `json:"f" csv:"F"`
	When   time.Time  `json:"when" csv:"When"`
	IP     netip.Addr `json:"ip" csv:"IP"`
	List   []string   `json:"list" csv:"List"`
	Maybe  string     `json:"maybe,omitzero" csv:"Maybe"`
	Inner  string     `json:"inner" csv:"-"`
	Hidden string     `json:"-"`
	own    string
}

func render(row any) (asJSON, head, asCSV string) {
	r := newRecord(schemaOf(row))
	if err := r.set(row); err != nil {
		panic(err)
	}
	return string(r.appendJSON(nil)), string(r.head), string(r.appendCSV(nil))
}

func TestEveryKindOfColumn(t *testing.T) {
	row := everyKind{
		common: common{"h"}, Text: "t", Yes: true, I: -1, I8: -2, I16: -3, I32: -4, I64: -5, U: 1, U8: 2, U16: 3, U32: 4, U64: 1<<64 - 1,
		F: 0.5, When: time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600)), IP: netip.MustParseAddr("fe80::1%eth0"),
		List: []string{"a b", "c"}, Inner: "x", Hidden: "y", own: "z",
	}
	gotJSON, head, gotCSV := render(&row)
	wantJSON := `{"host.id":"h","text":"t","yes":true,"i":-1,"i8":-2,"i16":-3,"i32":-4,"i64":-5,"u":1,"u8":2,"u16":3,"u32":4,"u64":18446744073709551615,` +
		`"f":0.5,"when":"2026-01-02T02:04:05.000000006Z","ip":"fe80::1%eth0","list":["a b","c"],"inner":"x"}` + "\n"
	wantHead := "Host,Text,Yes,I,I8,I16,I32,I64,U,U8,U16,U32,U64,F,When,IP,List,Maybe\n"
	wantCSV := `h,t,true,-1,-2,-3,-4,-5,1,2,3,4,18446744073709551615,0.5,2026-01-02T02:04:05.000000006Z,fe80::1%eth0,"a b; c",` + "\n"
	for _, d := range []string{cmp.Diff(wantJSON, gotJSON), cmp.Diff(wantHead, head), cmp.Diff(wantCSV, gotCSV)} {
		if d != "" {
			t.Error(d)
		}
	}
	gotJSON, _, _ = render(everyKind{})
	if !json.Valid([]byte(gotJSON)) || !strings.Contains(gotJSON, `"when":null,"ip":null,"list":[]`) || strings.Contains(gotJSON, "maybe") {
		t.Errorf("a row of nothing: %s", gotJSON)
	}
}

// maybe is a number that may not be known.
type maybe struct {
	n   int64
	yes bool
}

func (k maybe) Number() (int64, bool) { return k.n, k.yes }

func TestZeroThatIsKnownIsToldFromNone(t *testing.T) {
	type parents struct {
		A maybe `json:"a,omitzero" csv:"A"`
		B maybe `json:"b,omitzero" csv:"B"`
		C maybe `json:"c" csv:"C"`
	}
	gotJSON, _, gotCSV := render(parents{A: maybe{0, true}})
	if wantJSON, wantCSV := `{"a":0,"c":null}`+"\n", "0,,\n"; gotJSON != wantJSON || gotCSV != wantCSV {
		t.Errorf("row = %q, %q; want %q, %q", gotJSON, gotCSV, wantJSON, wantCSV)
	}
}

func TestColumnsOfOtherTypesAreMistakes(t *testing.T) {
	for _, sample := range []any{struct{ M map[string]int }{}, struct{ F func() }{}, struct{ P *string }{}, 7} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a row of %T is taken", sample)
				}
			}()
			schemaOf(sample)
		}()
	}
}

// hostileTexts is D9.
var hostileTexts = []string{
	"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", `=cmd|' /C calc'!A0`, "<script>alert(1)</script>",
	"\x1b]0;owned\a\x1b[2J", "\x9b31m", "\u009b31m", "abc\u202egpj.exe", "a\u2066b", "\ufeffbom", "a\u2028b", "a\u00adb", "\U000e0041tag",
	"\xff\xfe", "caf\xc3", "nul\x00byte", `quote " and \ back`, "a,b;c", " led", "line\nfeed", "crlf\r\nx", "\x7f", `amb\xff`, "amb\xff", `\\x41`, "\\\xff", `\x5c`, `\x`, `C:\xampp\u{41}`, "grüße 漢字 😀", "",
}

func TestHostileTextIsInert(t *testing.T) {
	for _, text := range hostileTexts {
		gotJSON, _, gotCSV := render(struct{ A, B string }{text, "b"})
		var back struct{ A, B string }
		if err := json.Unmarshal([]byte(gotJSON), &back); err != nil || UnescapeText(back.A) != text || back.B != "b" {
			t.Errorf("%q in JSON reads back as %q, %v", text, back.A, err)
		}
		if bare(strings.TrimSuffix(gotJSON, "\n"), "") {
			t.Errorf("%q stands bare in JSON: %q", text, gotJSON)
		}
		cells, err := csv.NewReader(strings.NewReader(gotCSV)).Read()
		if err != nil || len(cells) != 2 || cells[1] != "b" {
			t.Errorf("%q in CSV reads back as %q, %v", text, cells, err)
			continue
		}
		if formula(cells[0]) {
			t.Errorf("%q runs in a spreadsheet as %q", text, cells[0])
		}
		if bare(cells[0], "\n\t") {
			t.Errorf("%q stands bare in CSV: %q", text, cells[0])
		}
	}
}

func TestNamesThatLookLikeEscapesAreToldApart(t *testing.T) {
	for text, want := range map[string]struct{ json, csv string }{
		"amb\xff":   {`"amb\\xff"`, `amb\xff`},
		`amb\xff`:   {`"amb\\x5cxff"`, `amb\x5cxff`},
		"a\u202eb":  {"\"a\\u202eb\"", `a\u{202e}b`},
		`a\u{202e}`: {`"a\\u{202e}"`, `a\x5cu{202e}`},
		`C:\tmp`:    {`"C:\\tmp"`, `C:\tmp`},
	} {
		got := struct{ json, csv string }{string(appendJSONText(nil, text)), string(appendCSVText(nil, text))}
		if got != want {
			t.Errorf("%q is %s in JSON and %s in CSV, want %s and %s", text, got.json, got.csv, want.json, want.csv)
		}
	}
}

func TestOtherBackslashesAreNoEscapes(t *testing.T) {
	for _, text := range []string{"", `\`, `\x`, `\x4`, `\xZZ`, `\xFF`, `a\u0041`, `\\`} {
		if got := UnescapeText(text); got != text {
			t.Errorf("%q is undone as %q", text, got)
		}
	}
}

// bare says whether s holds something unseen, or bytes that are no UTF-8.
func bare(s, but string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unseen(r) && !strings.ContainsRune(but, r) })
}

func TestCellOfTenMegabytes(t *testing.T) {
	w := NewWriter(io.Discard, clock)
	table := w.Table("x", "t", processRow{})
	if err := table.Append(processRow{Name: strings.Repeat("<", 10<<20)}); err == nil {
		t.Error("a row of 10 MB is taken, where collectors must cut it")
	}
	if _, err := table.Close(); err != nil {
		t.Error(err)
	}
}

func TestRowsCostNoAllocation(t *testing.T) {
	w := NewWriter(io.Discard, clock)
	table := w.Table("x", "t", processRow{})
	row := worker(1)
	row.Args = nil   // a list costs one, to be joined for the CSV
	for range 5000 { // until the buffers have their size
		if err := table.Append(&row); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(1000, func() { table.Append(&row) }); n > 0.5 {
		t.Errorf("%.2f allocations a row", n)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range hostileTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		b := appendJSONText(nil, s)
		if err := json.Unmarshal(b, &back); err != nil || UnescapeText(back) != s {
			t.Errorf("%q in JSON is %s, and reads back as %q, %v", s, b, back, err)
		}
		if bare(string(b), "") {
			t.Errorf("%q stands bare in JSON: %q", s, b)
		}
		line := append(appendCSVText(nil, s), ",x\n"...)
		cells, err := csv.NewReader(bytes.NewReader(line)).Read()
		if err != nil || len(cells) != 2 || formula(cells[0]) || bare(cells[0], "\n\t") {
			t.Errorf("%q in CSV is %q, %v", s, cells, err)
		}
	})
}

func TestTablesReadBack(t *testing.T) {
	pkg := sample{rows: 3}.build(t)
	p, err := Open(bytes.NewReader(pkg), int64(len(pkg)), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	want := []Listing{
		{Path: "Processes/processes", Parts: []string{"Processes/processes.jsonl"}, CSV: "Processes/processes.csv"},
		{Path: "Network connections/listening", Parts: []string{"Network connections/listening.jsonl"}, CSV: "Network connections/listening.csv"},
	}
	if d := cmp.Diff(want, p.Tables()); d != "" {
		t.Error(d)
	}
	var got []string
	for row, err := range p.Rows(want[0]) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%v %v %v %v", row["process.pid"], row["process.name"], row["process.args"], row["source.ip"]))
	}
	if d := cmp.Diff([]string{"1 worker-0 [-n 0] 10.0.0.0", "2 worker-1 [-n 7919] 10.0.0.1", "3 worker-2 [-n 5831] 10.0.0.2"}, got); d != "" {
		t.Error(d)
	}
}
