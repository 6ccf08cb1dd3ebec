package signin

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"swab/internal/keys"
)

// MaxTicket bounds a ticket: 32 KiB, as text.
const MaxTicket = 32 << 10

// Ticket is what one page hands to the next: how far a sign-in has come and what
// it is for. Sealed, a browser can neither read nor change it; it is good for
// [TicketLife], for what it was made for, and in the browser that it was made
// for alone, whose secret is a cookie of its own.
type Ticket struct {
	For      string    `json:"for"`      // which form it is of
	Made     time.Time `json:"made"`     //
	Progress Progress  `json:"progress"` // of whoever signs in
	Session  string    `json:"session"`  // id of the browser's session that the page was for; "" for none
	Request  string    `json:"request"`  // what the sign-in is for, in its door's words
	Secret   []byte    `json:"secret"`   // of a TOTP that is not kept yet
}

// Seal makes a ticket for the browser with a secret. It sets the time.
func (d *Desk) Seal(tenant, browser string, t Ticket) string {
	t.Made = d.now()
	plain, err := json.Marshal(t)
	if err != nil {
		panic("signin: plain data can't be encoded: " + err.Error())
	}
	day := uint32(t.Made.Unix() / secondsADay)
	head := binary.BigEndian.AppendUint32(nil, day)
	return base64.RawURLEncoding.EncodeToString(d.aead(day).Seal(head, nil, plain, ticketFor(tenant, browser)))
}

const secondsADay = 24 * 60 * 60

// Open reads a ticket that was made for a form in the same browser. One that is
// too old, or was made for anything else, is fault.BadRequest.
func (d *Desk) Open(tenant, browser, form, sealed string) (Ticket, error) {
	var t Ticket
	if len(sealed) > MaxTicket || browser == "" {
		return t, errTooLate
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil || len(data) < 4 {
		return t, errTooLate
	}
	plain, err := d.aead(binary.BigEndian.Uint32(data)).Open(nil, nil, data[4:], ticketFor(tenant, browser))
	if err != nil {
		return t, errTooLate
	}
	if err := json.Unmarshal(plain, &t); err != nil {
		return Ticket{}, fmt.Errorf("a ticket that was sealed here can't be read: %w", err)
	}
	if age := d.Now().Sub(t.Made); t.For != form || age < -time.Minute || age > TicketLife {
		return Ticket{}, errTooLate
	}
	return t, nil
}

// aead is the key of one day's tickets: nonces are random, and no key seals so
// many that two might meet.
func (d *Desk) aead(day uint32) cipher.AEAD {
	key := d.Secrets.MAC(keys.SignIn, fmt.Appendf(nil, "swab.ticket-key/1\n%d", day))
	block, err := aes.NewCipher(key)
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCMWithRandomNonce(block); err == nil {
			return aead
		}
	}
	panic("signin: a MAC of 32 bytes is no key: " + err.Error())
}

// ticketFor binds a ticket to its tenant and browser.
func ticketFor(tenant, browser string) []byte {
	sum := sha256.Sum256([]byte(browser))
	return fmt.Appendf(nil, "swab.ticket/1\n%s\n%x", tenant, sum)
}
