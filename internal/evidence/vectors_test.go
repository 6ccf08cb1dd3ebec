package evidence

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"swab/internal/catalog"
	"swab/internal/device"
)

// vectors is what testdata/v1.json says of testdata/v1.zip, for whoever writes
// another reader: what is in it, and what must be found where it is damaged.
type vectors struct {
	Device     device.ID      `json:"device"`     // whose package it is
	ReceiptKey []byte         `json:"receiptKey"` // that signed v1.zip.receipt
	Plan       catalog.Digest `json:"plan"`       // to be taken for a released one
	Report     *Report        `json:"report"`
	Damaged    []damage       `json:"damaged"`
}

// damage is one way to spoil the package, and what a reader says then who has
// the device's id, and no receipt.
type damage struct {
	Keep  int   `json:"keep"`  // so many bytes from the front
	Flip  int   `json:"flip"`  // then this byte is changed, if it is not -1
	With  byte  `json:"with"`  // by exclusive or
	Class Class `json:"class"` // what the package is
	Code  Code  `json:"code"`  // of the first thing that is wrong
}

func (d damage) apply(pkg []byte) []byte {
	p := slices.Clone(pkg[:d.Keep])
	if d.Flip >= 0 {
		p[d.Flip] ^= d.With
	}
	return p
}

func TestVectors(t *testing.T) {
	pkg, err := os.ReadFile("testdata/v1.zip")
	if err != nil {
		t.Fatal(err)
	}
	r := check(t, pkg)
	v := vectors{Device: device.IDOf(public(key("device"))), ReceiptKey: public(key("server")), Plan: plan().Digest(), Report: r}
	judge := func(d damage) Verdict {
		return check(t, d.apply(pkg)).Judge(Trust{Device: v.Device, PlanKnown: known})
	}
	size := len(pkg)
	spoil := []damage{
		{size, -1, 0, "", ""}, // whole
		{size, 0, 1, "", ""},  // the first byte
		{size, 7, 1, "", ""},  // flags of the first header
		{size / 2, -1, 0, "", ""}, {size - 1, -1, 0, "", ""}, {3, -1, 0, "", ""},
		{size, size - 1, 1, "", ""}, // the comment's length
	}
	for _, e := range r.Entries {
		spoil = append(spoil,
			damage{size, int(e.Offset) + 14, 1, "", ""},               // the CRC in the header
			damage{size, int(e.Offset) + localSize, 0x20, "", ""},     // the name's first letter
			damage{size, int(e.data + e.Packed/2), 0x10, "", ""},      // the data
			damage{size, int(e.data+max(1, e.Packed)) - 1, 1, "", ""}, // the data's end
		)
	}
	for _, d := range spoil {
		verdict := judge(d)
		d.Class, d.Code = verdict.Class, verdict.Code
		v.Damaged = append(v.Damaged, d)
	}
	got, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "v1.json", append(got, '\n'))

	// And what is published holds with the receipt too: nothing damaged passes.
	receipt, err := os.ReadFile("testdata/v1.zip.receipt")
	if err != nil {
		t.Fatal(err)
	}
	trust := Trust{PlanKnown: known, ReceiptKeys: []ed25519.PublicKey{v.ReceiptKey}, Receipt: receipt}
	for _, d := range v.Damaged {
		p := d.apply(pkg)
		if verdict := check(t, p).Judge(trust); (verdict.Class == Authentic) != bytes.Equal(p, pkg) {
			t.Errorf("%+v: %+v", d, verdict)
		}
	}
}
