package evidence

import (
	"encoding/binary"
	"math"
	"time"
	"unicode/utf16"
)

// CollectionSummaryReport.xls is what its name says: a workbook of Excel 97 to
// 2003, BIFF8 records ([MS-XLS]) in a compound file ([MS-CFB]), because that is
// what responders' tools and habits expect. One sheet, text and numbers, the
// first line bold and frozen; nothing in it can run.

const (
	xlsMaxRows = 65536
	xlsMaxText = 4000    // characters of a cell: a record holds 8,224 bytes
	xlsMaxSize = 6 << 20 // what the file's table of sectors holds without another level
)

// Records of BIFF8.
const (
	recBOF        = 0x0809
	recEOF        = 0x000a
	recCodepage   = 0x0042
	recWindow1    = 0x003d
	recFont       = 0x0031
	recXF         = 0x00e0
	recStyle      = 0x0293
	recBoundsheet = 0x0085
	recDimensions = 0x0200
	recColinfo    = 0x007d
	recNumber     = 0x0203
	recLabel      = 0x0204
	recWindow2    = 0x023e
	recPane       = 0x0041
)

// Formats of cells, by their place among the workbook's XF records.
const (
	xfPlain = 15
	xfBold  = 16
)

// xls is the summary as a workbook.
func (s summary) xls() []byte {
	rec := newRecord(schemaOf(summaryRow{}))
	var sheet biff
	sheet.record(recBOF, u16(0x0600), u16(0x0010), u16(0x0dbb), u16(0x07cc), u32(0x41), u32(6))
	rows := min(len(s.rows)+1, xlsMaxRows)
	sheet.record(recDimensions, u32(0), u32(uint32(rows)), u16(0), u16(uint16(len(rec.columns))), u16(0))
	sheet.record(recColinfo, u16(0), u16(0), u16(60*256), u16(xfPlain), u16(0), u16(0))
	sheet.record(recColinfo, u16(1), u16(uint16(len(rec.columns)-1)), u16(20*256), u16(xfPlain), u16(0), u16(0))
	for col, c := range rec.columns {
		sheet.text(0, col, xfBold, headOf(rec.typ, c))
	}
	for i, row := range s.rows {
		if i+1 >= rows || len(sheet) > xlsMaxSize {
			break // the CSV has them all
		}
		if err := rec.set(row); err != nil {
			panic("evidence: " + err.Error()) // both are summaryRow
		}
		for col, cell := range rec.cells {
			sheet.cell(i+1, col, cell)
		}
	}
	sheet.record(recWindow2, u16(0x06be), u16(0), u16(0), u16(0x40), u16(0), u16(0), u16(0), u32(0))
	sheet.record(recPane, u16(0), u16(1), u16(1), u16(0), u16(2))
	sheet.record(recEOF)
	return compoundFile("Workbook", append(workbook("Collection Summary"), sheet...))
}

type biff []byte

func u16(n uint16) []byte { return binary.LittleEndian.AppendUint16(nil, n) }
func u32(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

func (b *biff) record(id uint16, fields ...[]byte) {
	size := 0
	for _, f := range fields {
		size += len(f)
	}
	*b = append(append(*b, u16(id)...), u16(uint16(size))...)
	for _, f := range fields {
		*b = append(*b, f...)
	}
}

// cell writes one value; a zero time is an empty cell.
func (b *biff) cell(row, col int, cell any) {
	switch p := cell.(type) {
	case *string:
		b.text(row, col, xfPlain, *p)
	case *time.Time:
		if !p.IsZero() {
			b.text(row, col, xfPlain, p.UTC().Format("2006-01-02 15:04:05.000"))
		}
	default:
		n, u, signed := number(cell)
		value := float64(u)
		if signed {
			value = float64(n)
		}
		b.record(recNumber, u16(uint16(row)), u16(uint16(col)), u16(xfPlain), binary.LittleEndian.AppendUint64(nil, math.Float64bits(value)))
	}
}

func (b *biff) text(row, col, xf int, s string) {
	units := utf16.Encode([]rune(ValidText(s)))
	units = units[:min(len(units), xlsMaxText)]
	if n := len(units); n > 0 && units[n-1] >= 0xd800 && units[n-1] < 0xdc00 {
		units = units[:n-1] // half a pair
	}
	chars := make([]byte, 0, 2*len(units))
	for _, u := range units {
		chars = binary.LittleEndian.AppendUint16(chars, u)
	}
	b.record(recLabel, u16(uint16(row)), u16(uint16(col)), u16(uint16(xf)), u16(uint16(len(units))), []byte{1}, chars)
}

// workbook is the part before the one sheet: fonts, formats, and where it is.
func workbook(sheet string) biff {
	var b biff
	b.record(recBOF, u16(0x0600), u16(0x0005), u16(0x0dbb), u16(0x07cc), u32(0x41), u32(6))
	b.record(recCodepage, u16(1200))
	b.record(recWindow1, u16(0), u16(0), u16(0x4000), u16(0x2000), u16(0x38), u16(0), u16(0), u16(1), u16(0x258))
	const face = "Arial"
	for font := range 5 { // the fifth has number 5: there is no 4
		weight, bold := uint16(400), uint16(0)
		if font == 4 {
			weight, bold = 700, 1
		}
		b.record(recFont, u16(200), u16(bold), u16(0x7fff), u16(weight), u16(0), make([]byte, 4), []byte{byte(len(face)), 0}, []byte(face))
	}
	for range xfPlain {
		b.record(recXF, u16(0), u16(0), u16(0xfff5), u16(0x20), u16(0xf400), make([]byte, 8), u16(0x20c0))
	}
	b.record(recXF, u16(0), u16(0), u16(1), u16(0x20), u16(0), make([]byte, 8), u16(0x20c0))
	b.record(recXF, u16(5), u16(0), u16(1), u16(0x20), u16(0x0800), make([]byte, 8), u16(0x20c0))
	b.record(recStyle, u16(0x8000), []byte{0, 0xff})
	// What follows is this record, 4 + 8 bytes and the name, and the EOF, 4.
	start := len(b) + 4 + 8 + len(sheet) + 4
	b.record(recBoundsheet, u32(uint32(start)), u16(0), []byte{byte(len(sheet)), 0}, []byte(sheet))
	b.record(recEOF)
	return b
}

// Special sectors of a compound file.
const (
	sectorSize = 512
	sectorFree = 0xffffffff
	sectorEnd  = 0xfffffffe
	sectorFAT  = 0xfffffffd
	noStream   = 0xffffffff
)

// compoundFile wraps one stream. It is padded to 4,096 bytes, below which a
// stream would have to lie in a smaller file within the file.
func compoundFile(name string, stream []byte) []byte {
	if len(stream) < 4096 {
		stream = append(stream, make([]byte, 4096-len(stream))...)
	}
	size := len(stream)
	if rest := size % sectorSize; rest > 0 {
		stream = append(stream, make([]byte, sectorSize-rest)...)
	}
	// In order: the stream, the directory (one sector), the table of sectors.
	data := len(stream) / sectorSize
	fats := 1
	for fats*sectorSize/4 < data+1+fats {
		fats++
	}
	fat := make([]byte, 0, fats*sectorSize)
	for i := range data - 1 {
		fat = append(fat, u32(uint32(i+1))...)
	}
	fat = append(fat, u32(sectorEnd)...) // of the stream
	fat = append(fat, u32(sectorEnd)...) // of the directory
	for range fats {
		fat = append(fat, u32(sectorFAT)...)
	}
	for len(fat) < fats*sectorSize {
		fat = append(fat, u32(sectorFree)...)
	}

	out := append([]byte{0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1}, make([]byte, 16)...)
	for _, n := range []uint16{0x3e, 3, 0xfffe, 9, 6} { // version 3, sectors of 2^9, small ones of 2^6
		out = append(out, u16(n)...)
	}
	out = append(out, make([]byte, 10)...)
	for _, n := range []uint32{uint32(fats), uint32(data), 0, 4096, sectorEnd, 0, sectorEnd, 0} {
		out = append(out, u32(n)...)
	}
	for i := range 109 {
		n := uint32(sectorFree)
		if i < fats {
			n = uint32(data + 1 + i)
		}
		out = append(out, u32(n)...)
	}
	out = append(out, stream...)
	out = append(out, directoryEntry("Root Entry", 5, 1, sectorEnd, 0)...)
	out = append(out, directoryEntry(name, 2, noStream, 0, uint64(size))...)
	for range 2 {
		out = append(out, directoryEntry("", 0, noStream, 0, 0)...)
	}
	return append(out, fat...)
}

// directoryEntry is 128 bytes: a name, what it is (5 the root, 2 a stream, 0
// nothing), its child, its first sector and its size.
func directoryEntry(name string, kind byte, child, first uint32, size uint64) []byte {
	b := make([]byte, 0, 128)
	for _, u := range utf16.Encode([]rune(name)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	n := len(b)
	b = append(b, make([]byte, 64-n)...)
	if name != "" {
		n += 2
	}
	b = append(append(b, u16(uint16(n))...), kind, 1)
	b = append(b, u32(noStream)...)
	b = append(b, u32(noStream)...)
	b = append(b, u32(child)...)
	b = append(b, make([]byte, 36)...) // class, state, times
	b = append(b, u32(first)...)
	return binary.LittleEndian.AppendUint64(b, size)
}
