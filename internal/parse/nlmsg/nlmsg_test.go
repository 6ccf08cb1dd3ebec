package nlmsg

import (
	"encoding/binary"
	"errors"
	"syscall"
	"testing"
)

func TestMessagesFollowOneAnother(t *testing.T) {
	b := append(Request(20, FlagRequest|FlagDump, 7, []byte{1, 2, 3, 4, 5}), 0, 0, 0) // padded to four
	b = append(b, Request(TypeDone, FlagMulti, 7, []byte{0, 0, 0, 0})...)

	m, rest, err := Next(b)
	if err != nil || m.Type != 20 || m.Seq != 7 || len(m.Data) != 5 {
		t.Fatalf("Next = %+v, %v", m, err)
	}
	m, rest, err = Next(rest)
	if err != nil || m.Type != TypeDone || m.Err() != nil || len(rest) != 0 {
		t.Fatalf("second Next = %+v, rest %d, %v", m, len(rest), err)
	}
}

func TestErrorMessageTellsErrno(t *testing.T) {
	body := binary.NativeEndian.AppendUint32(nil, ^uint32(syscall.ENOENT)+1)
	m, _, err := Next(Request(TypeError, 0, 1, body))
	if err != nil || !errors.Is(m.Err(), syscall.ENOENT) {
		t.Fatalf("Err = %v, %v, want ENOENT", m.Err(), err)
	}
}

func TestShortMessageIsRefused(t *testing.T) {
	whole := Request(20, 0, 1, make([]byte, 16))
	for n := range len(whole) {
		if _, _, err := Next(whole[:n]); !errors.Is(err, ErrShort) {
			t.Errorf("Next of %d bytes: %v, want ErrShort", n, err)
		}
	}
}

func FuzzMessages(f *testing.F) {
	f.Add(Request(20, FlagMulti, 1, []byte{8, 0, 1, 0, 1, 2, 3, 4, 5, 0, 2, 0, 9}))
	f.Add(Request(TypeError, 0, 1, []byte{0xfe, 0xff, 0xff, 0xff}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			m, rest, err := Next(b)
			if err != nil {
				return
			}
			if len(rest) >= len(b) {
				t.Fatal("no progress")
			}
			_ = m.Err()
			for _, v := range Attributes(m.Data) {
				_, _, _, _ = Uint8(v), Uint32(v), Uint64(v), String(v)
			}
			b = rest
		}
	})
}
