package evidence

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// twins are the CSV that a package has of a table and the one made of its rows,
// by a reader that knows the type of sample.
func twins(t *testing.T, sample any, rows ...any) (kept, made string) {
	t.Helper()
	var out, b bytes.Buffer
	w := NewWriter(&out, clock)
	table := w.Table("x", "table", rows[0])
	for _, row := range rows {
		if err := table.Append(row); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := table.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := Open(bytes.NewReader(out.Bytes()), int64(out.Len()), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	list := p.Tables()[0]
	r, err := p.Entry(list.CSV)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.WriteTwin(&b, list, sample); err != nil {
		t.Fatal(err)
	}
	return string(all), b.String()
}

// everyTwin is everyKind with what else a cell may be.
type everyTwin struct {
	everyKind
	Number  maybe     `json:"number" csv:"Number"`
	Pid     maybe     `json:"process.pid,omitzero" csv:"PID"`
	Zero    int       `json:"zero,omitzero" csv:"Zero"`
	Flag    bool      `json:"flag,omitzero" csv:"Flag"`
	Share   float64   `json:"share,omitzero" csv:"=Share, of all"`
	At      time.Time `json:"at,omitzero" csv:"At"`
	Unnamed string
}

func TestATwinThatWasLeftOutIsMadeAgainByteForByte(t *testing.T) {
	hostile := []string{"", "=cmd", "-1", "a,b;c", "a\"b", " x ", "\xff\xfe", `\x41`, `\u{202e}`, `C:\x`, "\u202egpj.exe", "a\nb\tc\rd\x1b[2J", "\U000e0041", "＝1", `\`}
	rows := []any{everyTwin{}, everyTwin{
		everyKind: everyKind{
			common: common{"h"}, Text: "t", Yes: true, I: -1, I64: -1 << 63, U64: 1<<64 - 1, F: 1e300,
			When: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), IP: netip.MustParseAddr("fe80::1%eth0"), List: hostile, Inner: "x",
		},
		Number: maybe{0, true}, Pid: maybe{-7, true}, Zero: 3, Flag: true, Share: 0.1, At: time.Unix(0, 0), Unnamed: "u",
	}}
	for _, s := range hostile {
		rows = append(rows, everyTwin{everyKind: everyKind{Maybe: s, IP: netip.MustParseAddr("::1")}, Unnamed: s})
	}
	kept, made := twins(t, everyTwin{}, rows...)
	if d := cmp.Diff(kept, made); d != "" {
		t.Errorf("(-twin of the package +made of the rows):\n%s", d)
	}
	if !strings.HasPrefix(made, "Host,Text,") || !strings.Contains(made, `"'=Share, of all"`) {
		t.Errorf("headings: %.200s", made)
	}
}

func TestColumnsThatAReaderDoesNotKnowComeLastByTheirKeys(t *testing.T) {
	type older struct {
		Name string `json:"name" csv:"Name"`
		Old  int    `json:"old,omitzero" csv:"Old"`
	}
	type newer struct {
		Z    string `json:"z.new" csv:"Zed"`
		A    bool   `json:"a.new,omitzero" csv:"Ay"`
		Name string `json:"name" csv:"Name"`
	}
	rows := []any{newer{"1", false, "n"}, newer{"2", true, "m"}}
	for _, tt := range []struct {
		sample any
		want   string
	}{
		{older{}, "Name,Old,a.new,z.new\nn,0,,1\nm,0,true,2\n"},
		{nil, "a.new,name,z.new\n,n,1\ntrue,m,2\n"},
	} {
		if _, made := twins(t, tt.sample, rows...); made != tt.want {
			t.Errorf("made for %T: %q, want %q", tt.sample, made, tt.want)
		}
	}
}

// Whatever stands in a line of a table, its row in CSV has a cell for each
// column, and none that a spreadsheet runs.
func FuzzTwinRow(f *testing.F) {
	f.Add(`{"text":"=a","i":-1,"list":["a",{"b":[1]}],"when":null}`)
	f.Add(`{"text":{"x":"\ud800"},"yes":"\\x22","own":1e9999}`)
	columns := append(schemaOf(everyKind{}).columns, column{name: "own"})
	f.Fuzz(func(t *testing.T, line string) {
		dec := json.NewDecoder(strings.NewReader(line)) // as Package.Rows
		dec.UseNumber()
		var row map[string]any
		if dec.Decode(&row) != nil {
			return
		}
		r := csv.NewReader(bytes.NewReader(appendTwinRow(nil, columns, row)))
		r.FieldsPerRecord = len(columns)
		cells, err := r.Read()
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if _, err := r.Read(); !errors.Is(err, io.EOF) {
			t.Errorf("%q makes more than one row", line)
		}
		for i, cell := range cells {
			if _, text := row[columns[i].name].(string); text && formula(cell) {
				t.Errorf("%q: cell %q is a formula", line, cell)
			}
		}
	})
}
