package proctable

import (
	"bytes"
	"fmt"
	"sync/atomic"

	"swab/internal/collect/host"
)

// MaxKept bounds what is in memory of processes until it is written, in bytes:
// this table, and what the collectors that share it keep of them and of their
// sockets. The agent has 64 MiB for everything, of which the runtime, the rows
// that wait for their stage, and the package's writer want the rest.
const MaxKept = 30 << 20

// perProcess is what one process takes without its texts and descriptors: here
// 600 bytes, its identity and its place in the index 150, its row 950 and the
// lists and numbers in it 200, its directory's handle 100.
const perProcess = 2000

// MaxTexts bounds the texts of all processes together, in bytes. A host of a
// thousand processes has some hundred KiB of them; but a link's text may have
// 4 KiB and a command line 128 KiB.
const MaxTexts = 12 << 20

// longText is what no ordinary text reaches. Those that do leave half of the
// room to the others, so that one process with texts without end cannot hide the
// command lines of the rest.
const longText = 1 << 10

// ErrTexts says that a text was cut or left out because there was no more room.
var ErrTexts = fmt.Errorf("the texts of all processes have over %d bytes: %w", MaxTexts, host.ErrTruncated)

// room counts what is kept: all of it, and the texts of the table.
type room struct{ used, texts atomic.Int64 }

// take counts so many bytes, and reports whether there is room for them.
func (r *room) take(n int64) bool {
	if r.used.Add(n) > MaxKept {
		r.used.Add(-n)
		return false
	}
	return true
}

// text counts a text of which there will be so many copies, and reports whether
// there is room for it.
func (r *room) text(length, copies int) bool {
	if length == 0 {
		return true
	}
	bound := int64(MaxTexts)
	if length > longText {
		bound /= 2
	}
	n := int64(length * copies)
	if r.texts.Add(n) > bound || !r.take(n) {
		r.texts.Add(-n)
		return false
	}
	return true
}

// Take counts so many bytes that a collector keeps until it has written them, and
// reports whether there is room for them.
func (ps *Processes) Take(bytes int) bool { return ps.room.take(int64(bytes)) }

// Give takes back what was counted and is kept no more.
func (ps *Processes) Give(bytes int) { ps.room.used.Add(-int64(bytes)) }

// copies is how often a command line is in memory: here, and in its row as a list
// and as one text.
const copies = 3

// commandLine keeps a command line, or its beginning where there is no room for
// the whole.
func (p *Process) commandLine(line []byte, err error) {
	r := &p.table.room
	p.CmdlineErr = err
	if r.text(len(line), copies) {
		p.Cmdline = line
		return
	}
	p.CmdlineErr = ErrTexts
	kept := line[:min(len(line), longText)]
	if !r.text(len(kept), copies) {
		kept = nil
	}
	p.Cmdline = bytes.Clone(kept)
	p.table.leftLines.Add(1)
	p.table.leftBytes.Add(int64(len(line) - len(kept)))
}

// LeftLines is how many command lines were cut or left out for want of room, and
// how many bytes of them.
func (ps *Processes) LeftLines() (lines, bytes int64) {
	return ps.leftLines.Load(), ps.leftBytes.Load()
}
