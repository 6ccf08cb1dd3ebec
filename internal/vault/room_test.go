package vault_test

import (
	"errors"
	"testing"

	"swab/internal/fault"
	"swab/internal/vault"
)

func TestRoomIsWhatTheDiskHasBeyondTheReserve(t *testing.T) {
	for reserve, want := range map[int64]bool{0: true, 1: true, 1 << 62: false} {
		h := open(t, vault.Limits{Reserve: reserve})
		if err := h.Room(t.Context()); errors.Is(err, fault.Unavailable) == want || want && err != nil {
			t.Errorf("with %d bytes to stay free: Room() = %v, want room: %t", reserve, err, want)
		}
		if free, err := h.Free(); err != nil || free <= 0 {
			t.Errorf("Free() = %d, %v", free, err)
		}
	}
}
