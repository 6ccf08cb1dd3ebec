package utmp

import (
	"encoding/binary"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var comparable = cmpopts.EquateComparable(netip.Addr{})

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBothLayoutsAreRecognised(t *testing.T) {
	for name, size := range map[string]int{"utmp_x86_64": 384, "utmp_aarch64": 400} {
		res := Parse(sample(t, name))
		if res.Size != size || res.Skipped != 0 || res.Rest != 0 || len(res.Records) != 5 {
			t.Errorf("%s: %d records of %d bytes, %d skipped, %d left", name, len(res.Records), res.Size, res.Skipped, res.Rest)
			continue
		}
		r := res.Records[1]
		if r.Type != BootTime || r.User != "reboot" || r.Line != "system boot" || r.ID != "~" || r.Time.Year() != 2026 ||
			r.Address != netip.MustParseAddr("4.3.2.1") {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestDamageCostsOnlyWhatIsDamaged(t *testing.T) {
	res := Parse(sample(t, "utmp_corrupted"))
	want := Result{Size: 384, Skipped: 2, Rest: 50, Records: []Record{
		{Type: UserProcess, PID: 3001, Line: "tty1", User: "alice", Time: time.Unix(1700001000, 0).UTC()},
		{Offset: 1152, Type: UserProcess, PID: 3003, Line: "pts/0", User: "bob", Host: "10.0.0.5", Time: time.Unix(1700002000, 0).UTC(), Address: netip.MustParseAddr("10.0.0.5")},
	}}
	if d := cmp.Diff(want, res, comparable); d != "" {
		t.Error(d)
	}
}

func TestZeroedRecordsAreLeftOut(t *testing.T) {
	res := Parse(sample(t, "wtmp.1"))
	if len(res.Records) != 2 || res.Records[0].User != "userA" || res.Rest != 1 {
		t.Errorf("%+v", res)
	}
}

func TestTimesLastPast2038(t *testing.T) {
	b := make([]byte, 384)
	b[0] = byte(UserProcess)
	binary.LittleEndian.PutUint32(b[340:], 1<<31+100)
	if got := Parse(b).Records[0].Time; got.Year() != 2038 {
		t.Errorf("time = %v", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"utmp_x86_64", "utmp_aarch64", "utmp_corrupted"} {
		f.Add(sample(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		res := Parse(b)
		if (len(res.Records)+res.Skipped)*res.Size > len(b) {
			t.Fatal("more records than bytes")
		}
		for _, r := range res.Records {
			_ = r.Type.String()
		}
	})
}
