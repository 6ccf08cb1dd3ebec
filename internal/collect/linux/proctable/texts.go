package proctable

import (
	"bytes"
	"fmt"
	"sync/atomic"

	"swab/internal/collect/host"
)

// MaxTexts bounds the texts of all processes together, in bytes. A host of a
// thousand processes has some hundred KiB of them; but a link's text may have
// 4 KiB and a command line 128 KiB, and the agent has 64 MiB for everything.
const MaxTexts = 12 << 20

// longText is what no ordinary text reaches. Those that do leave half of the
// room to the others, so that one process with texts without end cannot hide the
// command lines of the rest.
const longText = 1 << 10

// ErrTexts says that a text was cut or left out because there was no more room.
var ErrTexts = fmt.Errorf("the texts of all processes have over %d bytes: %w", MaxTexts, host.ErrTruncated)

// texts counts the room that texts take.
type texts struct{ used atomic.Int64 }

// take counts a text of which there will be so many copies, and reports whether
// there is room for it.
func (t *texts) take(length, copies int) bool {
	if length == 0 {
		return true
	}
	bound := int64(MaxTexts)
	if length > longText {
		bound /= 2
	}
	n := int64(length * copies)
	if t.used.Add(n) > bound {
		t.used.Add(-n)
		return false
	}
	return true
}

// copies is how often a command line is in memory: here, and in its row as a list
// and as one text.
const copies = 3

// commandLine keeps a command line, or its beginning where there is no room for
// the whole.
func (p *Process) commandLine(line []byte, err error) {
	t := &p.table.texts
	p.CmdlineErr = err
	if t.take(len(line), copies) {
		p.Cmdline = line
		return
	}
	p.CmdlineErr = ErrTexts
	kept := line[:min(len(line), longText)]
	if !t.take(len(kept), copies) {
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
