package evidence

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"hash/crc32"
	"io"
	"slices"
	"testing"

	"swab/internal/canon"
	"swab/internal/dsse"
)

// A forger takes a package apart and puts another together in the very form of
// the writer, so that nothing but what it lies about can give it away.

type piece struct {
	name string
	data []byte
}

type forgery struct {
	pieces []piece
	m      Manifest
	key    ed25519.PrivateKey
}

// forge takes a package apart.
func forge(t testing.TB, pkg []byte) *forgery {
	t.Helper()
	p, err := Open(bytes.NewReader(pkg), int64(len(pkg)), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	f := &forgery{key: key("device")}
	for _, e := range p.Entries {
		r, err := p.Entry(e.Path)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		f.pieces = append(f.pieces, piece{e.Path, data})
	}
	if err := canon.Unmarshal(f.piece(manifestPath).data, &f.m); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *forgery) piece(name string) *piece {
	i := slices.IndexFunc(f.pieces, func(p piece) bool { return p.name == name })
	return &f.pieces[i]
}

// insert puts another piece before the one of that name.
func (f *forgery) insert(before string, p piece) {
	i := slices.IndexFunc(f.pieces, func(p piece) bool { return p.name == before })
	f.pieces = slices.Insert(f.pieces, i, p)
}

func (f *forgery) remove(name string) {
	f.pieces = slices.DeleteFunc(f.pieces, func(p piece) bool { return p.name == name })
}

// list makes the manifest's list of entries anew, as it would be had the pieces
// been written.
func (f *forgery) list() {
	old := f.m.Entries
	f.m.Entries = nil
	for _, p := range f.pieces {
		if p.name == manifestPath || p.name == envelopePath {
			continue
		}
		sum := sha256.Sum256(p.data)
		e := Entry{Kind: KindOriginal, Outcome: Collected, Part: 1, Ranges: [][2]int64{}}
		if i := slices.IndexFunc(old, func(e Entry) bool { return e.Path == p.name }); i >= 0 {
			e = old[i]
		}
		e.Path, e.Size, e.SHA256 = p.name, int64(len(p.data)), hex.EncodeToString(sum[:])
		f.m.Entries = append(f.m.Entries, e)
	}
}

// sign writes manifest and signature anew.
func (f *forgery) sign(t testing.TB) {
	t.Helper()
	data, err := canon.Marshal(f.m)
	if err != nil {
		t.Fatal(err)
	}
	f.piece(manifestPath).data = data
	if f.piece(envelopePath).data, err = signManifest(f.m, data, f.key); err != nil {
		t.Fatal(err)
	}
}

// zip puts the pieces together, and gives the headers too.
func (f *forgery) zip() ([]byte, []header) {
	var b []byte
	var dir []header
	var pk packer
	for _, p := range f.pieces {
		h := header{name: p.name, time: clampTime(epoch), offset: int64(len(b)), crc: crc32.ChecksumIEEE(p.data), size: int64(len(p.data))}
		if p.name[:min(3, len(p.name))] == "fs/" {
			h.time = 1709251199 // of the original of these tests
		}
		h.packed = h.size
		body := p.data
		if h.stream = h.size > smallEntry; h.stream {
			h.method, body = methodDeflate, nil
			for part := range slices.Chunk(p.data, chunk) {
				body, _ = pk.pack(body, part)
			}
			body = append(body, deflateEnd[:]...)
			h.packed = int64(len(body))
		}
		b = append(h.appendLocal(b), body...)
		if h.stream {
			b = h.appendDescriptor(b)
		}
		dir = append(dir, h)
	}
	return b, dir
}

// bytes is the whole ZIP.
func (f *forgery) bytes() []byte { return withDirectory(f.zip()) }

func withDirectory(b []byte, dir []header) []byte {
	offset := int64(len(b))
	for i := range dir {
		b = dir[i].appendCentral(b)
	}
	return appendEnd(b, len(dir), int64(len(b))-offset, offset)
}

func TestForgerForgesWell(t *testing.T) {
	f := forge(t, sample{rows: 5, file: logLines(2 << 20)}.build(t))
	f.list()
	f.sign(t)
	if r := check(t, f.bytes()); r.Class != Intact {
		t.Errorf("a package put together again: %v", r.Flaws)
	}
}

// envelope of a statement of the test's choice.
func statement(t *testing.T, st Statement, k ed25519.PrivateKey) []byte {
	t.Helper()
	payload, err := canon.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	b, err := dsse.Sign(PayloadType, payload, k)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
