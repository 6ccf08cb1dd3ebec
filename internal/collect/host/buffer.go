package host

import "bytes"

// Buffer is memory for reading many small files one after another. The zero
// value is ready. Not safe for concurrent use.
type Buffer struct{ b []byte }

// Read is [Tree.ReadFile] into the buffer: the bytes are good until the next Read.
func (b *Buffer) Read(t *Tree, name string, max int64) ([]byte, error) {
	r, err := t.openRead(name)
	if err != nil {
		return nil, t.fail("read", name, err)
	}
	defer r.close()
	if b.b == nil {
		b.b = make([]byte, 4096)
	}
	n := 0
	for {
		if n == len(b.b) {
			b.b = append(b.b, make([]byte, len(b.b))...)
		}
		room := b.b[n:]
		if int64(len(room)) > max+1-int64(n) {
			room = room[:max+1-int64(n)]
		}
		k, err := r.read(room)
		n += max0(k)
		switch {
		case int64(n) > max:
			return b.b[:max], t.fail("read", name, ErrTruncated)
		case err != nil:
			return b.b[:n], t.fail("read", name, err)
		case k == 0:
			return b.b[:n], nil
		}
	}
}

// Lines reads a file line by line, without the newline and without holding it
// whole, until f returns an error, which it returns. Of a file over max bytes the
// rest is left out, with [ErrTruncated]; a line over 64 KiB is cut.
func (b *Buffer) Lines(t *Tree, name string, max int64, f func(line []byte) error) error {
	r, err := t.openRead(name)
	if err != nil {
		return t.fail("read", name, err)
	}
	defer r.close()
	if len(b.b) < maxLine {
		b.b = make([]byte, maxLine)
	}
	held, total := 0, int64(0)
	for {
		k, err := r.read(b.b[held:])
		held += max0(k)
		if total += int64(max0(k)); total > max {
			return t.fail("read", name, ErrTruncated)
		}
		rest := b.b[:held]
		for {
			line, after, found := bytes.Cut(rest, []byte("\n"))
			if !found && (k > 0 && err == nil && len(rest) < len(b.b) || len(rest) == 0) {
				break
			}
			if err := f(line); err != nil {
				return err
			}
			rest = after
		}
		held = copy(b.b, rest)
		if err != nil {
			return t.fail("read", name, err)
		}
		if k == 0 {
			return nil
		}
	}
}

// maxLine bounds a line.
const maxLine = 64 << 10

func max0(n int) int {
	if n < 0 {
		return 0
	}
	return n
}
