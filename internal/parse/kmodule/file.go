package kmodule

import (
	"bytes"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of a module file.
const (
	maxInfo      = 1 << 20   // of the .modinfo section
	maxNames     = 1 << 20   // of section names
	maxSections  = 65535     // of an ELF file
	maxSignature = 256 << 10 // of a signature block
	maxValues    = 4096      // entries of .modinfo
)

// The errors of module files.
var (
	ErrNotELF   = errors.New("not an ELF file of little endian")
	ErrNoInfo   = errors.New("no .modinfo section")
	errSections = errors.New("section table leads out of the file")
)

// File is what a module file says of itself.
type File struct {
	Info      []Value
	Signed    bool
	Signature Signature
}

// Value is one entry of .modinfo.
type Value struct{ Name, Value string }

// Get is the first value of that name.
func (f File) Get(name string) string {
	for _, v := range f.Info {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// Signature is the block at a signed module's end. That it is there says nothing
// of whether the kernel took it.
type Signature struct {
	Signer string // common name or organisation of the certificate's issuer; a key id where there is none
	Serial string // hex, of the certificate; "" where it is named by its key
	Hash   string // "sha256", "sha512"
}

// ReadFile reads a module file, not a compressed one. What could be read comes
// beside an error.
func ReadFile(r io.ReaderAt, size int64) (File, error) {
	var f File
	var sigErr, infoErr error
	f.Signed, f.Signature, sigErr = readSignature(r, size)
	var section []byte
	if section, infoErr = modinfo(r, size); infoErr == nil {
		f.Info = values(section)
	}
	return f, errors.Join(infoErr, sigErr)
}

// values parts "name=value" strings that NUL ends.
func values(b []byte) []Value {
	var out []Value
	for entry := range bytes.SplitSeq(b, []byte{0}) {
		name, value, ok := strings.Cut(string(entry), "=")
		if ok && len(out) < maxValues {
			out = append(out, Value{name, value})
		}
	}
	return out
}

// section is an entry of the section table: where its name and bytes are.
type section struct {
	name         uint32
	offset, size uint64
}

// shape is where the fields of an ELF file's header and sections stand.
type shape struct {
	wide                     bool
	header                   int
	shoff, shentsize         int // in the header; number and index of names follow
	offset, size, entryBytes int // in a section's entry
}

var (
	shape32 = shape{header: 52, shoff: 0x20, shentsize: 0x2e, offset: 0x10, size: 0x14, entryBytes: 40}
	shape64 = shape{wide: true, header: 64, shoff: 0x28, shentsize: 0x3a, offset: 0x18, size: 0x20, entryBytes: 64}
)

func (s shape) word(b []byte) uint64 {
	if s.wide {
		return binary.LittleEndian.Uint64(b)
	}
	return uint64(binary.LittleEndian.Uint32(b))
}

// modinfo finds the section of that name. The few lines stand here for
// debug/elf, which reads every section and brings the readers of debug
// information with it.
func modinfo(r io.ReaderAt, size int64) ([]byte, error) {
	var head [64]byte
	if size < 64 {
		return nil, ErrNotELF
	}
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(head[:], []byte("\x7fELF")) || head[5] != 1 {
		return nil, ErrNotELF
	}
	s := shape64
	if head[4] == 1 {
		s = shape32
	}
	at := s.word(head[s.shoff:])
	le := binary.LittleEndian
	entry, count, names := int(le.Uint16(head[s.shentsize:])), int(le.Uint16(head[s.shentsize+2:])), int(le.Uint16(head[s.shentsize+4:]))
	if entry < s.entryBytes || count > maxSections || names >= count {
		return nil, errSections
	}
	table, err := part(r, size, at, uint64(entry)*uint64(count), maxSections*64)
	if err != nil {
		return nil, err
	}
	get := func(i int) section {
		b := table[i*entry:]
		return section{le.Uint32(b), s.word(b[s.offset:]), s.word(b[s.size:])}
	}
	text, err := part(r, size, get(names).offset, get(names).size, maxNames)
	if err != nil {
		return nil, err
	}
	for i := range count {
		c := get(i)
		if uint64(c.name) < uint64(len(text)) && bytes.HasPrefix(text[c.name:], []byte(".modinfo\x00")) {
			return part(r, size, c.offset, c.size, maxInfo)
		}
	}
	return nil, ErrNoInfo
}

// part reads bytes of a file that says itself where they are.
func part(r io.ReaderAt, size int64, off, n, limit uint64) ([]byte, error) {
	if n > limit || off > uint64(size) || n > uint64(size)-off {
		return nil, errSections
	}
	b := make([]byte, n)
	if _, err := r.ReadAt(b, int64(off)); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}

const signatureMagic = "~Module signature appended~\n"

// signatureSize is that of struct module_signature, which stands before the magic.
const signatureSize = 12

func readSignature(r io.ReaderAt, size int64) (bool, Signature, error) {
	const tail = signatureSize + int64(len(signatureMagic))
	if size < tail {
		return false, Signature{}, nil
	}
	b, err := part(r, size, uint64(size-tail), uint64(tail), uint64(tail))
	if err != nil {
		return false, Signature{}, err
	}
	if string(b[signatureSize:]) != signatureMagic {
		return false, Signature{}, nil
	}
	n := int64(binary.BigEndian.Uint32(b[8:]))
	if n > maxSignature || n > size-tail {
		return true, Signature{}, errors.New("signature block is longer than the file or its bound")
	}
	if b[2] != 2 { // PKEY_ID_PKCS7
		return true, Signature{}, fmt.Errorf("signature of kind %d is not PKCS #7", b[2])
	}
	der, err := part(r, size, uint64(size-tail-n), uint64(n), maxSignature)
	if err != nil {
		return true, Signature{}, err
	}
	s, err := parsePKCS7(der)
	if err != nil {
		return true, s, fmt.Errorf("signature: %w", err)
	}
	return true, s, nil
}

// parsePKCS7 reads who signed from a detached signature (RFC 2315, RFC 5652): the
// first signer's issuer and serial number, or key id, and the digest.
func parsePKCS7(der []byte) (Signature, error) {
	// The fields that may stand between content and signers make the structure
	// irregular, so its parts are taken one by one.
	var outer struct {
		Type asn1.ObjectIdentifier
		Data asn1.RawValue // [0], around the SignedData
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return Signature{}, err
	}
	var signed, signers asn1.RawValue
	if _, err := asn1.Unmarshal(outer.Data.Bytes, &signed); err != nil {
		return Signature{}, err
	}
	for rest := signed.Bytes; len(rest) > 0; {
		var v asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &v); err != nil {
			return Signature{}, err
		}
		signers = v // the last part
	}
	var signer struct {
		Version int
		ID      asn1.RawValue
		Digest  struct {
			Algorithm  asn1.ObjectIdentifier
			Parameters asn1.RawValue `asn1:"optional"`
		}
		Rest asn1.RawValue
	}
	if signers.Tag != asn1.TagSet {
		return Signature{}, errors.New("no signers")
	}
	if _, err := asn1.Unmarshal(signers.Bytes, &signer); err != nil {
		return Signature{}, err
	}
	s := Signature{Hash: digestName(signer.Digest.Algorithm)}
	if signer.ID.Class == asn1.ClassContextSpecific {
		s.Signer = "key " + hex.EncodeToString(signer.ID.Bytes)
		return s, nil
	}
	return s, s.issuer(signer.ID.FullBytes)
}

// issuer reads a certificate's issuer and serial number.
func (s *Signature) issuer(der []byte) error {
	var id struct {
		Issuer asn1.RawValue
		Serial asn1.RawValue
	}
	if _, err := asn1.Unmarshal(der, &id); err != nil {
		return err
	}
	s.Serial = hex.EncodeToString(id.Serial.Bytes)
	var name []attributeSET
	if _, err := asn1.Unmarshal(id.Issuer.FullBytes, &name); err != nil {
		return err
	}
	for _, set := range name {
		for _, a := range set {
			// id-at-commonName, and id-at-organizationName where it has none.
			if a.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 3}) || (s.Signer == "" && a.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 10})) {
				s.Signer = string(a.Value.Bytes)
			}
		}
	}
	return nil
}

// attributeSET is part of a distinguished name. The package asn1 takes the type
// for a SET by the end of its name.
type attributeSET []struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

func digestName(id asn1.ObjectIdentifier) string {
	names := map[string]string{
		"1.3.14.3.2.26": "sha1", "2.16.840.1.101.3.4.2.1": "sha256", "2.16.840.1.101.3.4.2.2": "sha384",
		"2.16.840.1.101.3.4.2.3": "sha512", "2.16.840.1.101.3.4.2.4": "sha224",
	}
	if n, ok := names[id.String()]; ok {
		return n
	}
	return id.String()
}
