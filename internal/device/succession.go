package device

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"swab/internal/canon"
	"swab/internal/dsse"
)

const successionType = "application/vnd.swab.key-succession+json"

// MaxKeys bounds a device's chain of keys.
const MaxKeys = 64

// succession is the statement by which a device's key names the one that follows it.
type succession struct {
	Device ID     `json:"device"`
	Number int    `json:"number"` // 1 for the first key after the enrolment key
	Key    []byte `json:"key"`    // the new Ed25519 public key
}

// Succeed returns the statement, signed by the present key, that next follows
// it as key number of the device.
func Succeed(id ID, number int, next ed25519.PublicKey, present ed25519.PrivateKey) ([]byte, error) {
	payload, err := canon.Marshal(succession{Device: id, Number: number, Key: next})
	if err != nil {
		return nil, err
	}
	return dsse.Sign(successionType, payload, present)
}

// Chain checks a device's statements one after another, from the enrolment key
// on, and returns all its keys: the last one is the one that signs.
func Chain(enrolment ed25519.PublicKey, statements [][]byte) ([]ed25519.PublicKey, error) {
	if len(enrolment) != ed25519.PublicKeySize {
		return nil, errors.New("enrolment key is not an Ed25519 public key")
	}
	if len(statements) >= MaxKeys {
		return nil, fmt.Errorf("key chain has over %d keys", MaxKeys)
	}
	id, keys := IDOf(enrolment), []ed25519.PublicKey{enrolment}
	for i, st := range statements {
		payload, err := dsse.Open(st, successionType, keys[i])
		if err != nil {
			return nil, fmt.Errorf("key succession %d: %w", i+1, err)
		}
		var s succession
		if err := canon.Unmarshal(payload, &s); err != nil {
			return nil, fmt.Errorf("key succession %d: %w", i+1, err)
		}
		if s.Device != id || s.Number != i+1 || len(s.Key) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("key succession %d is not of this chain", i+1)
		}
		keys = append(keys, s.Key)
	}
	return keys, nil
}
