package evidence

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"swab/internal/catalog"
	"swab/internal/device"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small is a package with both forms of entry that is cheap to check.
func small(t testing.TB) []byte {
	t.Helper()
	return sample{rows: 20, file: bytes.Repeat([]byte("root:x:0:0:/root\n"), 62_000)}.build(t)
}

// tiny has no large entry, and is cheaper still.
func tiny(t testing.TB) []byte {
	t.Helper()
	return sample{rows: 20, file: []byte("root:x:0:0:/root\n")}.build(t)
}

func TestOneFlippedBitIsTold(t *testing.T) {
	t.Run("tiny", func(t *testing.T) { flipBits(t, tiny(t), 1000) })
	t.Run("small", func(t *testing.T) { flipBits(t, small(t), 150) })
}

func flipBits(t *testing.T, pkg []byte, times int) {
	receipt := receiptOf(check(t, pkg), key("server"))
	random := rand.New(rand.NewPCG(3, 1))
	for range times {
		p, r := slices.Clone(pkg), slices.Clone(receipt)
		bit := random.IntN(8 * (len(p) + len(r)))
		if at := bit / 8; at < len(p) {
			p[at] ^= 1 << (bit % 8)
		} else {
			r[at-len(p)] ^= 1 << (bit % 8)
		}
		v := check(t, p).Judge(Trust{PlanKnown: known, ReceiptKeys: []ed25519.PublicKey{public(key("server"))}, Receipt: r})
		if v.Exit == 0 || v.Text == "" || v.Code == "" {
			t.Fatalf("bit %d of byte %d: %+v", bit%8, bit/8, v)
		}
	}
}

// Without a receipt a flip may go unseen only where it means nothing: in the
// unused bits of compressed data.
func TestOneFlippedBitIsToldWithoutReceipt(t *testing.T) {
	pkg := tiny(t)
	whole := check(t, pkg)
	random := rand.New(rand.NewPCG(3, 2))
	unseen := 0
	for range 2000 {
		p := slices.Clone(pkg)
		bit := random.IntN(8 * len(p))
		p[bit/8] ^= 1 << (bit % 8)
		r := check(t, p)
		if r.Class != Intact {
			continue
		}
		unseen++
		if !reflect.DeepEqual(r.Entries, whole.Entries) || !reflect.DeepEqual(r.Manifest, whole.Manifest) {
			t.Fatalf("bit %d of byte %d changes what the package says, and is not told", bit%8, bit/8)
		}
	}
	t.Logf("%d of 2000 flips fell on bits without meaning", unseen)
}

func TestCutPackageIsIncomplete(t *testing.T) {
	pkg := small(t)
	cuts := []int{4, 29, 30, 31, 50}
	for i := range 100 {
		cuts = append(cuts, len(pkg)-1-i)
	}
	random := rand.New(rand.NewPCG(3, 3))
	for range 100 {
		cuts = append(cuts, 4+random.IntN(len(pkg)-4))
	}
	for _, cut := range cuts {
		r := check(t, pkg[:cut])
		if v := r.Judge(Trust{PlanKnown: known}); v.Class != Incomplete || v.Exit != 2 {
			t.Fatalf("cut at %d of %d: %+v", cut, len(pkg), v)
		}
	}
	if r := check(t, nil); r.Class != Unreadable {
		t.Errorf("nothing at all: %s", r.Class)
	}
}

func TestPackageWithoutItsEndIsIncomplete(t *testing.T) {
	f := forge(t, small(t))
	f.remove(manifestPath)
	f.remove(envelopePath)
	if r := check(t, f.bytes()); r.Class != Incomplete {
		t.Errorf("a whole ZIP without manifest: %s, %v", r.Class, r.Flaws)
	}
}

func TestWhatIsNoPackageIsUnreadable(t *testing.T) {
	other := forge(t, small(t))
	other.piece(manifestPath).data = []byte(`{"format":"swab.package/2","x":1}`)
	for name, c := range map[string]struct {
		data []byte
		code Code
	}{
		"text":            {[]byte("hello, this is no ZIP at all"), CodeForm},
		"other version":   {other.bytes(), CodeVersion},
		"an empty ZIP":    {appendEnd(nil, 0, 0, 0), CodeForm},
		"a page of zeros": {make([]byte, 4096), CodeForm},
	} {
		r := check(t, c.data)
		if r.Class != Unreadable || r.Flaws[0].Code != c.code || r.Judge(Trust{}).Exit != 4 {
			t.Errorf("%s: %s, %v", name, r.Class, r.Flaws)
		}
	}
}

func TestPlanIsNeverLearntFromThePackage(t *testing.T) {
	f := forge(t, small(t))
	f.shortPlan(t, true)
	r := check(t, f.bytes())
	if r.Class != Intact {
		t.Fatal(r.Flaws)
	}
	trust := Trust{PlanKnown: known, Device: device.IDOf(public(key("device")))}
	if v := r.Judge(trust); v.Exit != 4 || v.Code != CodeTrust {
		t.Errorf("a plan nobody released: %+v", v)
	}
	trust.PlanKnown = func(d catalog.Digest) bool { return d == r.Manifest.Profile.Digest }
	if v := r.Judge(trust); v.Class != Authentic {
		t.Errorf("the same plan, released: %+v", v)
	}
}

func TestSuccessorSigns(t *testing.T) {
	id := device.IDOf(public(key("device")))
	st, err := device.Succeed(id, 1, public(key("second")), key("device"))
	if err != nil {
		t.Fatal(err)
	}
	f := forge(t, small(t))
	f.m.Device.Succession, f.key = [][]byte{st}, key("second")
	f.sign(t)
	r := check(t, f.bytes())
	if r.Class != Intact || !r.Signer.Equal(public(key("second"))) {
		t.Errorf("%s, %v, signer %x", r.Class, r.Flaws, r.Signer)
	}
	// The key before it signs nothing any more.
	f.key = key("device")
	f.sign(t)
	if r := check(t, f.bytes()); r.Class != Altered {
		t.Errorf("signed by a superseded key: %s", r.Class)
	}
}

// TestForeignPackageProvesNothing: a forger with a key and a server of its own.
func TestForeignPackageProvesNothing(t *testing.T) {
	r := check(t, sample{key: key("forger"), rows: 1}.build(t))
	ours := []ed25519.PublicKey{public(key("server"))}
	mine := device.IDOf(public(key("device")))
	for name, c := range map[string]struct {
		trust Trust
		exit  int
		class Class
	}{
		"no trust":                 {Trust{}, 0, Intact},
		"by the device's id":       {Trust{Device: mine}, 1, Altered},
		"its own server's receipt": {Trust{ReceiptKeys: ours, Receipt: receiptOf(r, key("forger's server"))}, 1, Altered},
		"receipt, but no key":      {Trust{Receipt: receiptOf(r, key("forger's server"))}, 0, Intact},
		"receipt and id":           {Trust{ReceiptKeys: ours, Receipt: receiptOf(r, key("server")), Device: mine}, 1, Altered},
		"no receipt, but the key":  {Trust{ReceiptKeys: ours}, 0, Intact},
	} {
		c.trust.PlanKnown = known
		if v := r.Judge(c.trust); v.Exit != c.exit || v.Class != c.class {
			t.Errorf("%s: %+v, want %s", name, v, c.class)
		}
	}
}

func TestCheckerEnds(t *testing.T) {
	pkg := small(t)
	for _, n := range []int{0, 1, 100, len(pkg) / 2, len(pkg)} {
		c := NewChecker(DefaultLimits())
		if _, err := c.Write(pkg[:n]); err != nil {
			t.Fatal(err)
		}
		c.Abort() // goleak sees whether it ended
		if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Write after Abort: %v", err)
		}
		if a, b := c.Close(), c.Close(); a != b {
			t.Error("a second Close gives another report")
		}
	}
}

func TestAnyChunkingGivesTheSame(t *testing.T) {
	pkg := small(t)
	want := check(t, pkg)
	for _, n := range []int{1, 7, 64 << 10, len(pkg)} {
		c := NewChecker(DefaultLimits())
		for part := range slices.Chunk(pkg, n) {
			if _, err := c.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.Close(); !reflect.DeepEqual(got, want) {
			t.Errorf("in chunks of %d: %s %v", n, got.Class, got.Flaws)
		}
	}
}

// TestDeviceClockYearsOff is D12.
func TestDeviceClockYearsOff(t *testing.T) {
	for _, year := range []int{1970, 2107, 9999} {
		f := forge(t, small(t))
		f.m.Clock.Start = time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).Format(time.RFC3339Nano)
		f.sign(t)
		if r := check(t, f.bytes()); r.Class != Intact {
			t.Errorf("year %d: %v", year, r.Flaws)
		}
	}
}

// TestCutPackageIsSalvaged is D13: what a dead attempt delivered can be read.
func TestCutPackageIsSalvaged(t *testing.T) {
	pkg := sample{rows: 50, file: bytes.Repeat([]byte("x"), 3<<20)}.build(t)
	whole := check(t, pkg).Entries
	for i, f := range whole {
		cut := pkg[:f.Offset+10]
		got, err := Salvage(bytes.NewReader(cut), int64(len(cut)), DefaultLimits())
		if i == 0 {
			if err == nil {
				t.Errorf("nothing whole, and no error: %v", got)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, whole[:i]) {
			t.Errorf("cut within entry %d: %d entries, %v", i, len(got), err)
		}
	}
	cut := pkg[:len(pkg)-30]
	p, err := Open(bytes.NewReader(cut), int64(len(cut)), DefaultLimits())
	if err != nil || !p.CutOff {
		t.Fatalf("open a package that was cut off: %v", err)
	}
	n := 0
	for _, err := range p.Rows(p.Tables()[0]) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 50 {
		t.Errorf("%d rows of a package that was cut off, want 50", n)
	}
	extractInside(t, cut)
}

func FuzzChecker(f *testing.F) {
	pkg := sample{rows: 3, file: []byte("root:x:0:0\n")}.build(f)
	f.Add(pkg)
	f.Add(pkg[:len(pkg)/2])
	f.Add(appendEnd(nil, 0, 0, 0))
	h := header{name: "../x", method: methodDeflate, packed: 2, size: 0}
	f.Add(append(h.appendLocal(nil), deflateEnd[:]...))
	l := DefaultLimits()
	l.TotalBytes = 16 << 20
	f.Fuzz(func(t *testing.T, data []byte) {
		c := NewChecker(l)
		for part := range slices.Chunk(data, 1000) {
			c.Write(part)
		}
		r := c.Close()
		if (r.Class == Intact) != (len(r.Flaws) == 0) {
			t.Errorf("class %s with %d flaws", r.Class, len(r.Flaws))
		}
		v := r.Judge(Trust{PlanKnown: known, Device: device.IDOf(public(key("device")))})
		if v.Class == Authentic && !bytes.Equal(r.Signer, public(key("device"))) {
			t.Errorf("authentic, and signed by %x", r.Signer)
		}
		file := CheckFile(bytes.NewReader(data), int64(len(data)), l)
		if file.Class != r.Class || file.SHA256 != r.SHA256 {
			t.Errorf("as a file: %s %v, as it came: %s %v", file.Class, file.Flaws, r.Class, r.Flaws)
		}
		p, err := Open(bytes.NewReader(data), int64(len(data)), l)
		if err != nil {
			return
		}
		for _, table := range p.Tables() {
			for _, err := range p.Rows(table) {
				if err != nil {
					break
				}
			}
		}
	})
}
