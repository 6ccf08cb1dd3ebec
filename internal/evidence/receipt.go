package evidence

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"swab/internal/canon"
	"swab/internal/dsse"
)

// SignReceipt returns the receipt's envelope, as it lies beside the package.
func SignReceipt(r Receipt, key ed25519.PrivateKey) ([]byte, error) {
	r.Format = ReceiptFormat
	payload, err := canon.Marshal(r)
	if err != nil {
		return nil, err
	}
	return dsse.Sign(ReceiptType, payload, key)
}

// OpenReceipt returns the receipt in an envelope that one of the keys signed.
func OpenReceipt(envelope []byte, keys []ed25519.PublicKey) (Receipt, error) {
	err := dsse.ErrKey
	for _, key := range keys {
		var payload []byte
		if payload, err = dsse.Open(envelope, ReceiptType, key); err == nil {
			return parseReceipt(payload)
		}
		if !errors.Is(err, dsse.ErrKey) {
			break
		}
	}
	return Receipt{}, fmt.Errorf("receipt: %w", err)
}

// PeekReceipt returns what an envelope says without checking its signature. It
// proves nothing.
func PeekReceipt(envelope []byte) (Receipt, error) {
	kind, payload, _, err := dsse.Peek(envelope)
	if err != nil {
		return Receipt{}, fmt.Errorf("receipt: %w", err)
	}
	if kind != ReceiptType {
		return Receipt{}, fmt.Errorf("receipt: %w", dsse.ErrType)
	}
	return parseReceipt(payload)
}

func parseReceipt(payload []byte) (Receipt, error) {
	var r Receipt
	if err := canon.Unmarshal(payload, &r); err != nil {
		return Receipt{}, fmt.Errorf("receipt: %w", err)
	}
	if r.Format != ReceiptFormat {
		return Receipt{}, fmt.Errorf("receipt: format %.40q, this program reads %q", r.Format, ReceiptFormat)
	}
	if _, err := canon.ParseTime(r.Time); err != nil {
		return Receipt{}, fmt.Errorf("receipt: %w", err)
	}
	return r, nil
}

// checkReceipt holds the receipt against the package. proven says that a
// trusted key signed it; without any trusted key it is compared all the same.
func (r *Report) checkReceipt(t Trust) (rec Receipt, proven bool, err error) {
	if proven = len(t.ReceiptKeys) > 0; proven {
		rec, err = OpenReceipt(t.Receipt, t.ReceiptKeys)
	} else {
		rec, err = PeekReceipt(t.Receipt)
	}
	if err != nil {
		return rec, false, err
	}
	m := r.Manifest
	switch {
	case rec.SHA256 != r.SHA256 || rec.Size != r.Size:
		err = errors.New("the receipt is of other bytes: its SHA-256 and size are not those of the package")
	case rec.Device != m.Device.ID:
		err = fmt.Errorf("the receipt is of device %.40q, the package of %s", string(rec.Device), m.Device.ID)
	case !bytes.Equal(rec.Key, r.Signer):
		err = errors.New("the receipt names another key than the one that signed the package")
	case rec.Tenant != m.TenantID || rec.Action != m.ActionID || rec.Attempt != m.Attempt:
		err = errors.New("the receipt is of another action or attempt")
	case rec.Plan != m.Profile.Digest:
		err = errors.New("the receipt names another plan than the package")
	case rec.Opening.Commitment() != m.Commitment:
		err = errors.New("the receipt does not open the package's commitment to who asked and why")
	}
	return rec, proven && err == nil, err
}
