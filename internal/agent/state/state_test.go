package state

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"swab/internal/audit"
	"swab/internal/device"
)

// disk is a file in memory whose power can be cut: of one write only the first
// cut bytes arrive.
type disk struct {
	b     []byte
	cut   int // -1: none
	wrote int // bytes that writes were asked for
}

var errPower = errors.New("power cut")

func (d *disk) ReadAt(p []byte, at int64) (int, error) { return bytes.NewReader(d.b).ReadAt(p, at) }
func (d *disk) Size() (int64, error)                   { return int64(len(d.b)), nil }
func (d *disk) Sync() error                            { return nil }
func (d *disk) Flush() error                           { return nil }
func (d *disk) Close() error                           { return nil }

func (d *disk) WriteAt(p []byte, at int64) (int, error) {
	n := len(p)
	d.wrote += n
	if d.cut >= 0 && d.cut < n {
		n = d.cut
	}
	if need := at + int64(n); need > int64(len(d.b)) {
		d.b = append(d.b, make([]byte, need-int64(len(d.b)))...)
	}
	copy(d.b[at:], p[:n])
	if n < len(p) {
		return n, errPower
	}
	return n, nil
}

func newState(t *testing.T) (*State, *disk) {
	t.Helper()
	d := &disk{cut: -1}
	s, err := openOn(d, "disk")
	if err != nil {
		t.Fatal(err)
	}
	return s, d
}

func reopen(t *testing.T, d *disk) *State {
	t.Helper()
	s, err := openOn(&disk{b: slices.Clone(d.b), cut: -1}, "disk")
	if err != nil {
		t.Fatalf("open again: %v", err)
	}
	return s
}

func same(t *testing.T, when string, got, want *State) {
	t.Helper()
	if diff := cmp.Diff(want.Identity(), got.Identity()); diff != "" {
		t.Fatalf("%s: identity (-want +got):\n%s", when, diff)
	}
	if diff := cmp.Diff(want.Progress(), got.Progress()); diff != "" {
		t.Fatalf("%s: progress (-want +got):\n%s", when, diff)
	}
}

func head(n int64) audit.Head { return audit.Head{Size: n, Hash: tlog.RecordHash([]byte{byte(n)})} }

func pins() Pins {
	key := bytes.Repeat([]byte{7}, ed25519.PublicKeySize)
	return Pins{Tenant: "0198a1b2-0000-7000-8000-000000000001", LogKey: key, ReceiptKey: key, RecoveryKey: key}
}

func id(n int) string { return fmt.Sprintf("0198a1b2-0000-7000-8000-%012d", n) }

func TestStateOutlivesTheAgent(t *testing.T) {
	s, d := newState(t)
	same(t, "new", reopen(t, d), s)
	if err := s.Enrolled(pins()); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for n := range 40 {
		if err := s.Begin(id(n), 1+n%3, head(int64(n+1)), now.Add(time.Duration(n)*time.Hour)); err != nil {
			t.Fatal(err)
		}
		same(t, fmt.Sprint("begun ", n), reopen(t, d), s)
		if err := s.End(id(n)); err != nil {
			t.Fatal(err)
		}
		same(t, fmt.Sprint("ended ", n), reopen(t, d), s)
	}
	p := s.Progress()
	if len(p.Actions) != MaxActions || p.Actions[0].ID != id(24) || p.Actions[15] != (Action{ID: id(39), Attempt: 1, Ended: true}) {
		t.Errorf("actions = %+v", p.Actions)
	}
	if p.Head != head(40) || !p.SeenTime().Equal(now.Add(39*time.Hour)) {
		t.Errorf("head %v at %v", p.Head, p.SeenTime())
	}
	if len(d.b) != Size {
		t.Errorf("file has %d bytes, want %d", len(d.b), Size)
	}
}

func TestTheTimeSeenNeverGoesBack(t *testing.T) {
	s, _ := newState(t)
	late := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, at := range []time.Time{late, late.AddDate(-10, 0, 0), {}} {
		if err := s.Begin(id(1), 1, head(1), at); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Progress().SeenTime(); !got.Equal(late) {
		t.Errorf("SeenTime = %v, want %v", got, late)
	}
}

// Whatever part of a slot reaches the disk, the state before it is still there,
// and once all of it has, the state after it is.
func TestEveryTornWriteLeavesTheStateBefore(t *testing.T) {
	changes := map[string]func(*State) error{
		"enrolled": func(s *State) error { return s.Enrolled(pins()) },
		"begin":    func(s *State) error { return s.Begin(id(9), 2, head(5), time.Unix(1e9, 0)) },
		"end":      func(s *State) error { return s.End(id(3)) },
	}
	for name, change := range changes {
		for warm := range 2 { // the first and the second slot of the pair
			base, bd := newState(t)
			for n := 3 - warm; n < 4; n++ {
				if err := base.Begin(id(n), 1, head(int64(n)), time.Time{}); err != nil {
					t.Fatal(err)
				}
			}
			ad := &disk{b: slices.Clone(bd.b), cut: -1}
			after, err := openOn(ad, "disk")
			if err != nil {
				t.Fatal(err)
			}
			if err := change(after); err != nil {
				t.Fatal(err)
			}
			whole := lastChanged(bd.b, ad.b)
			for cut := 0; cut < identityBytes; cut += 1 + cut/60 {
				d := &disk{b: slices.Clone(bd.b), cut: -1}
				s, err := openOn(d, "disk")
				if err != nil {
					t.Fatal(err)
				}
				d.cut = cut
				err = change(s)
				if err != nil && !errors.Is(err, errPower) {
					t.Fatal(err)
				}
				if err == nil {
					same(t, fmt.Sprintf("%s, whole", name), reopen(t, d), s)
					break
				}
				want := base
				if cut >= whole { // but for the zeros at the end
					want = after
				}
				same(t, fmt.Sprintf("%s cut at %d", name, cut), reopen(t, d), want)
				// The agent that saw the error goes on, and loses nothing.
				d.cut = -1
				if err := change(s); err != nil {
					t.Fatal(err)
				}
				same(t, fmt.Sprintf("%s after a cut at %d", name, cut), reopen(t, d), s)
			}
		}
	}
}

// lastChanged is how much of the slot that a write changed must arrive for it to
// be whole: up to the last byte that differs.
func lastChanged(before, after []byte) int {
	last := len(after) - 1
	for before[last] == after[last] {
		last--
	}
	for _, p := range []pair{identitySlots, progressSlots} {
		for slot := range int64(2) {
			if at := int64(last) - p.at - slot*int64(p.size); at >= 0 && at < int64(p.size) {
				return int(at) + 1
			}
		}
	}
	return 0
}

func TestAFileWhoseMakingWasCutOffIsMadeAgain(t *testing.T) {
	for _, cut := range []int{0, 1, page - 1, page, page + 100, Size / 2, Size - 1} {
		d := &disk{cut: cut}
		if _, err := openOn(d, "disk"); !errors.Is(err, errPower) {
			t.Fatalf("cut at %d: %v, want the power cut", cut, err)
		}
		d.cut = -1
		s, err := openOn(d, "disk")
		if err != nil {
			t.Fatalf("after a cut at %d: %v", cut, err)
		}
		same(t, "made again", reopen(t, d), s)
	}
}

func TestADamagedFileIsRefusedAndLeftAlone(t *testing.T) {
	s, d := newState(t)
	if err := s.Enrolled(pins()); err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func([]byte) []byte{
		"both identities": func(b []byte) []byte { b[page+100] ^= 1; b[page+identityBytes+100] ^= 1; return b },
		"both progresses": func(b []byte) []byte { b[Size-1-page-4000] ^= 1; b[Size-4000] ^= 1; return b },
		"header":          func(b []byte) []byte { b[3] ^= 1; return b },
		"shorter":         func(b []byte) []byte { return b[:Size-1] },
		"longer":          func(b []byte) []byte { return append(b, 0) },
		"other bytes":     func([]byte) []byte { return []byte("hello") },
	} {
		broken := damage(slices.Clone(d.b))
		was := slices.Clone(broken)
		f := &disk{b: broken, cut: -1}
		if _, err := openOn(f, "disk"); err == nil {
			t.Errorf("%s: taken", name)
		}
		if !bytes.Equal(f.b, was) {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

func TestPinsAreFixed(t *testing.T) {
	s, d := newState(t)
	if err := s.Enrolled(pins()); err != nil {
		t.Fatal(err)
	}
	was := slices.Clone(d.b)
	if err := s.Enrolled(pins()); err != nil {
		t.Errorf("the same again: %v", err)
	}
	other := pins()
	other.LogKey = bytes.Repeat([]byte{8}, 32)
	if err := s.Enrolled(other); !errors.Is(err, ErrPinned) {
		t.Errorf("another log key: %v, want ErrPinned", err)
	}
	if !bytes.Equal(d.b, was) {
		t.Error("the file was written")
	}
	fresh, _ := newState(t)
	if err := fresh.Enrolled(Pins{LogKey: []byte("short")}); err == nil {
		t.Error("a short key is pinned")
	}
}

// What a server says of actions that the device does not know costs no write.
func TestEndOfWhatIsNotKnownWritesNothing(t *testing.T) {
	s, d := newState(t)
	if err := s.Begin(id(1), 1, head(1), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := s.End(id(1)); err != nil {
		t.Fatal(err)
	}
	was := slices.Clone(d.b)
	for _, n := range []int{1, 2} {
		if err := s.End(id(n)); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(d.b, was) {
		t.Error("the file was written")
	}
}

// A key to come is the one that comes, whatever happens in between, and the key
// before is nowhere in the file once it has come.
func TestANextKeyOutlivesTheAgentAndReplacesTheOneBefore(t *testing.T) {
	s, d := newState(t)
	if err := s.Enrolled(pins()); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 3; n++ {
		was := s.Identity()
		d.wrote = 0
		made, err := s.Succeed()
		if err != nil {
			t.Fatal(err)
		}
		same(t, "made", reopen(t, d), s)
		if !bytes.Equal(s.Identity().Seed, was.Seed) || made.Next == nil {
			t.Fatalf("after Succeed: %+v", made)
		}
		if d.wrote != page {
			t.Errorf("to make a key writes %d bytes, want a page", d.wrote)
		}
		s = reopen(t, d)
		d = s.file.(*disk)
		if again, err := s.Succeed(); err != nil || !bytes.Equal(again.Next.Seed, made.Next.Seed) {
			t.Fatalf("another key was made: %v", err)
		}
		if err := s.Succeeded(); err != nil {
			t.Fatal(err)
		}
		if d.wrote != 2*page {
			t.Errorf("to put it in its place writes %d bytes, want two pages", d.wrote)
		}
		same(t, "succeeded", reopen(t, d), s)
		is := s.Identity()
		if !bytes.Equal(is.Seed, made.Next.Seed) || len(is.Statements) != n || is.Next != nil || is.Device() != was.Device() {
			t.Errorf("after Succeeded: %+v", is)
		}
		if bytes.Contains(d.b, []byte(base64.StdEncoding.EncodeToString(was.Seed))) {
			t.Error("the key before is in the file")
		}
	}
	if err := s.Succeeded(); err != nil {
		t.Errorf("with no key to come: %v", err)
	}
}

// Wherever the power goes while a key is made or put in its place, the file holds
// the state before or the one after.
func TestATornKeyLeavesTheOneBefore(t *testing.T) {
	for name, change := range map[string]func(*State) error{
		"made":      func(s *State) error { _, err := s.Succeed(); return err },
		"succeeded": (*State).Succeeded,
	} {
		base, bd := newState(t)
		if err := base.Enrolled(pins()); err != nil {
			t.Fatal(err)
		}
		if _, err := base.Succeed(); err != nil {
			t.Fatal(err)
		}
		if name == "made" {
			if err := base.Succeeded(); err != nil {
				t.Fatal(err)
			}
		}
		for cut := 0; cut <= 2*page; cut += 97 {
			d := &disk{b: slices.Clone(bd.b), cut: -1}
			s, err := openOn(d, "disk")
			if err != nil {
				t.Fatal(err)
			}
			d.cut = cut
			if err := change(s); err != nil && !errors.Is(err, errPower) {
				t.Fatal(err)
			} else if err == nil {
				break
			}
			got := reopen(t, d).Identity()
			before := base.Identity()
			after := name == "succeeded" && len(got.Statements) == len(before.Statements)+1 && got.Next == nil && bytes.Equal(got.Seed, before.Next.Seed)
			after = after || name == "made" && got.Next != nil && bytes.Equal(got.Seed, before.Seed)
			if !after && cmp.Diff(before, got) != "" {
				t.Fatalf("%s, cut at %d: %+v", name, cut, got)
			}
			d.cut = -1 // the agent that saw the error goes on
			if err := change(s); err != nil {
				t.Fatal(err)
			}
			same(t, name+" after a cut", reopen(t, d), s)
		}
	}
}

func TestAChainThatIsFullTakesNoMore(t *testing.T) {
	s, _ := newState(t)
	for range device.MaxKeys - 1 {
		if _, err := s.Succeed(); err != nil {
			t.Fatal(err)
		}
		if err := s.Succeeded(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Succeed(); !errors.Is(err, ErrKeys) {
		t.Errorf("one more: %v, want ErrKeys", err)
	}
}

func TestALongestChainOfKeysFits(t *testing.T) {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := pins()
	i := Identity{Enrolment: pub, Pins: &p}
	for n := 1; n < device.MaxKeys; n++ {
		next, nextKey, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		st, err := device.Succeed(device.IDOf(pub), n, next, key)
		if err != nil {
			t.Fatal(err)
		}
		i.Statements, key = append(i.Statements, st), nextKey
	}
	i.Seed = key.Seed()
	d := &disk{cut: -1}
	if err := format(d, i, Progress{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(i, reopen(t, d).Identity()); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

func TestTheLargestProgressFitsItsSlot(t *testing.T) {
	s, _ := newState(t)
	for n := range MaxActions {
		if err := s.Begin(id(n), 1<<20, audit.Head{Size: 1<<63 - 1}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

// No bytes in the file, with or without a checksum that holds, make the agent
// panic, and a file that is taken works.
func FuzzState(f *testing.F) {
	d := &disk{cut: -1}
	s, err := openOn(d, "disk")
	if err != nil {
		f.Fatal(err)
	}
	if err := s.Begin(id(1), 1, head(1), time.Now()); err != nil {
		f.Fatal(err)
	}
	good := d.b
	slot := func(b []byte, p pair, n int) []byte { return b[p.at+int64(n*p.size):][:p.size] }
	for n := range 2 {
		_, progress, _ := progressSlots.open(slot(good, progressSlots, n))
		f.Add(progress, true)
		f.Add(slot(good, progressSlots, n), false)
		_, identity, _ := identitySlots.open(slot(good, identitySlots, n))
		f.Add(identity, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		for _, p := range []pair{identitySlots, progressSlots} {
			d := &disk{b: slices.Clone(good), cut: -1}
			fill := b
			if seal {
				var err error
				if fill, err = p.seal(9, b); err != nil {
					return
				}
			}
			copy(slot(d.b, p, 0), fill)
			copy(slot(d.b, p, 1), fill)
			s, err := openOn(d, "disk")
			if err != nil {
				continue
			}
			if err := s.Begin(id(2), 1, head(2), time.Time{}); err != nil && !strings.Contains(err.Error(), "do not fit") {
				t.Fatal(err)
			}
			same(t, "reopened", reopen(t, d), s)
		}
	})
}
