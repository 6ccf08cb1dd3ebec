package wire

import (
	"errors"
	"fmt"

	"swab/internal/device"
)

// A device tells of the key that succeeds its present one by a plain request,
// POST /device/key, and not on the channel: it has to be able to ask again after
// a crash, when it can't know which of the two keys opens a channel. The request
// needs no access token for the same reason. The last statement is signed by the
// key before, the DPoP proof by the new one, so it takes both to be believed, and
// the same request is answered alike however often it comes.

// KeyRequest is the body of POST /device/key: all of the device's statements of
// succession, the newest last. The request's DPoP proof must be signed by the
// key that the last one names.
type KeyRequest struct {
	Device     device.ID `json:"device"`
	Statements [][]byte  `json:"statements"` // from 1 to device.MaxKeys-1, each an envelope of at most MaxStatement bytes
}

// MaxStatement bounds one statement of succession, so that a whole chain of them
// fits a body.
const MaxStatement = 512

func (r KeyRequest) check() error {
	if _, err := device.ParseID(string(r.Device)); err != nil {
		return err
	}
	if n := len(r.Statements); n < 1 || n >= device.MaxKeys {
		return fmt.Errorf("%d statements, want 1 to %d", n, device.MaxKeys-1)
	}
	for i, s := range r.Statements {
		if len(s) == 0 || len(s) > MaxStatement {
			return fmt.Errorf("statement %d has %d bytes, want 1 to %d", i+1, len(s), MaxStatement)
		}
	}
	return nil
}

// KeyAnswer is the answer of POST /device/key, 200: from now on the device signs
// with that key alone.
type KeyAnswer struct {
	Number int `json:"number"` // of the key: 1 for the first one after the enrolment key
}

func (a KeyAnswer) check() error {
	if a.Number < 1 || a.Number >= device.MaxKeys {
		return errors.New("the key's number is out of its bounds")
	}
	return nil
}

// ParseKeyRequest reads a device's word of its next key.
func ParseKeyRequest(data []byte) (KeyRequest, error) { return parseBody[KeyRequest](data) }

// ParseKeyAnswer reads the server's answer to it.
func ParseKeyAnswer(data []byte) (KeyAnswer, error) { return parseBody[KeyAnswer](data) }
