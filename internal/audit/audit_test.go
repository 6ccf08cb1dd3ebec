package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"swab/internal/audit"
)

const tenant = "d2a1f3c4-55b6-4e7d-8f90-a1b2c3d4e5f6"

func key(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func public(seed byte) ed25519.PublicKey { return key(seed).Public().(ed25519.PublicKey) }

// tree is a log in memory.
type tree struct {
	hashes []tlog.Hash
	leaves [][]byte
}

func (tr *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		out = append(out, tr.hashes[i])
	}
	return out, nil
}

func (tr *tree) add(t interface{ Fatal(...any) }, leaf []byte) {
	hashes, err := audit.Extend(int64(len(tr.leaves)), leaf, tr)
	if err != nil {
		t.Fatal(err)
	}
	tr.hashes = append(tr.hashes, hashes...)
	tr.leaves = append(tr.leaves, leaf)
}

func (tr *tree) head(t interface{ Fatal(...any) }, size int) audit.Head {
	h, err := audit.HeadOf(int64(size), tr)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (tr *tree) prove(t interface{ Fatal(...any) }, from int, k ed25519.PrivateKey, leaves ...int) audit.Proof {
	var proved []audit.Proved
	for _, l := range leaves {
		proved = append(proved, audit.Proved{Index: int64(l), Leaf: tr.leaves[l]})
	}
	head := tr.head(t, len(tr.leaves))
	p, err := audit.Prove(head, int64(from), proved, tr)
	if err != nil {
		t.Fatal(err)
	}
	if p.Checkpoint, err = head.Sign(tenant, k); err != nil {
		t.Fatal(err)
	}
	return p
}

func entry(i int) audit.Entry {
	return audit.NewEntry(time.Unix(int64(i), 0), audit.Leaf{
		Act: audit.ActCollect, Object: fmt.Sprintf("action-%d", i), Result: audit.Done,
	}, audit.Hidden{Who: "application/x", Comment: "because"})
}

func grown(t interface{ Fatal(...any) }, n int) *tree {
	tr := &tree{}
	for i := range n {
		tr.add(t, entry(i).Leaf.Bytes())
	}
	return tr
}

func TestHonestLogIsAlwaysBelieved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 70).Draw(t, "size")
		known := rapid.IntRange(0, size).Draw(t, "known")
		leaf := rapid.IntRange(0, size-1).Draw(t, "leaf")
		tr := grown(t, size)
		head, leaves, err := tr.prove(t, known, key(1), leaf).Check(tenant, public(1), tr.head(t, known))
		if err != nil {
			t.Fatalf("Check with %d of %d known = %v", known, size, err)
		}
		if head != tr.head(t, size) || leaves[0].Object != fmt.Sprintf("action-%d", leaf) {
			t.Fatalf("Check = %v, %v", head, leaves)
		}
	})
}

func TestDishonestLogIsRefused(t *testing.T) {
	tr := grown(t, 20)
	known := tr.head(t, 13)
	rewritten := &tree{}
	for i := range 20 {
		leaf := entry(i).Leaf
		if i == 5 {
			leaf.Object = "another"
		}
		rewritten.add(t, leaf.Bytes())
	}
	good := tr.prove(t, 13, key(1), 15)
	if _, _, err := good.Check(tenant, public(1), known); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		proof func(p audit.Proof) audit.Proof
		want  error
	}{
		{"a checkpoint by another key", func(audit.Proof) audit.Proof { return tr.prove(t, 13, key(2), 15) }, audit.ErrCheckpoint},
		{"no checkpoint", func(p audit.Proof) audit.Proof { p.Checkpoint = ""; return p }, audit.ErrCheckpoint},
		{"an old checkpoint", func(audit.Proof) audit.Proof { return grown(t, 12).prove(t, 12, key(1), 3) }, audit.ErrShorter},
		{"a rewritten log", func(audit.Proof) audit.Proof { return rewritten.prove(t, 13, key(1), 15) }, audit.ErrRewritten},
		{"a proof from another size", func(audit.Proof) audit.Proof { return tr.prove(t, 12, key(1), 15) }, audit.ErrRewritten},
		{"no consistency proof", func(p audit.Proof) audit.Proof { p.Consistency = nil; return p }, audit.ErrRewritten},
		{"another leaf", func(p audit.Proof) audit.Proof {
			p.Leaves = []audit.Proved{{Index: 15, Leaf: entry(99).Leaf.Bytes(), Inclusion: p.Leaves[0].Inclusion}}
			return p
		}, audit.ErrNotInLog},
		{"a leaf beyond the log", func(p audit.Proof) audit.Proof {
			p.Leaves = []audit.Proved{{Index: 20, Leaf: p.Leaves[0].Leaf, Inclusion: p.Leaves[0].Inclusion}}
			return p
		}, audit.ErrNotInLog},
		{"a leaf at another place", func(p audit.Proof) audit.Proof {
			p.Leaves = []audit.Proved{{Index: 14, Leaf: p.Leaves[0].Leaf, Inclusion: p.Leaves[0].Inclusion}}
			return p
		}, audit.ErrNotInLog},
	} {
		if _, _, err := tt.proof(good).Check(tenant, public(1), known); !errors.Is(err, tt.want) {
			t.Errorf("%s: Check = %v, want %v", tt.name, err, tt.want)
		}
	}
	if _, _, err := rewritten.prove(t, 20, key(1), 15).Check(tenant, public(1), tr.head(t, 20)); !errors.Is(err, audit.ErrRewritten) {
		t.Errorf("another log of the same size: Check = %v, want ErrRewritten", err)
	}
	if _, _, err := good.Check("another-tenant", public(1), known); !errors.Is(err, audit.ErrCheckpoint) {
		t.Errorf("another tenant's log: Check = %v, want ErrCheckpoint", err)
	}
}

func TestCommitmentOpensToOneThingOnly(t *testing.T) {
	e := entry(1)
	if e.Leaf.Commitment != e.Opening.Commitment() {
		t.Error("the opening does not open the leaf's commitment")
	}
	other := e.Opening
	other.Hidden.Comment = "because of something else"
	if other.Commitment() == e.Leaf.Commitment {
		t.Error("another comment opens the same commitment")
	}
	if entry(1).Leaf.Commitment == e.Leaf.Commitment {
		t.Error("two entries of one content have one commitment: the salt is not fresh")
	}
	if strings.Contains(string(e.Leaf.Bytes()), "because") || strings.Contains(string(e.Leaf.Bytes()), "application/x") {
		t.Errorf("the leaf shows what it hides: %s", e.Leaf.Bytes())
	}
}

func FuzzCheck(f *testing.F) {
	tr := grown(f, 9)
	p := tr.prove(f, 4, key(1), 6)
	f.Add(p.Checkpoint, p.Leaves[0].Leaf, int64(6), int64(4), bytes.Join([][]byte{p.Consistency[0][:], p.Leaves[0].Inclusion[0][:]}, nil))
	known := tr.head(f, 4)
	f.Fuzz(func(t *testing.T, checkpoint string, leaf []byte, index, from int64, hashes []byte) {
		var list []tlog.Hash
		for h := range len(hashes) / tlog.HashSize {
			list = append(list, tlog.Hash(hashes[h*tlog.HashSize:][:tlog.HashSize]))
		}
		for cut := range min(len(list), 8) + 1 {
			if cut > len(list) {
				break
			}
			bad := audit.Proof{
				Checkpoint: checkpoint, From: from, Consistency: list[:cut],
				Leaves: []audit.Proved{{Index: index, Leaf: leaf, Inclusion: list[cut:]}},
			}
			head, leaves, err := bad.Check(tenant, public(1), known)
			if err == nil && (head.Size > 9 || string(leaves[0].Bytes()) != string(tr.leaves[index])) {
				t.Errorf("a forged proof holds: %v %v", head, leaves)
			}
		}
	})
}
