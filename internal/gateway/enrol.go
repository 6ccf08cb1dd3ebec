package gateway

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/wire"
)

// enrol takes a new key in as a device of the enrolment token's tenant.
func (g *Gateway) enrol(w http.ResponseWriter, r *http.Request) error {
	token, err := authorization(r, "Bearer")
	if err != nil {
		return err
	}
	body, err := readBody(w, r, "application/json")
	if err != nil {
		return err
	}
	proof, pub, err := g.proof(r, "", http.StatusBadRequest)
	if err != nil {
		return err
	}
	req, err := wire.ParseEnrolRequest(body)
	if err != nil {
		return &refusal{status: http.StatusBadRequest, code: wire.CodeInvalidMetadata, text: "The registration is not a device's: " + err.Error()}
	}
	if key, err := req.Keys.Key(); err != nil || !pub.Equal(key) {
		return &refusal{status: http.StatusBadRequest, code: wire.CodeInvalidMetadata, text: "The proof is not signed by the key that is to be enrolled", cause: err}
	}

	now := g.now().UTC().Truncate(100 * time.Nanosecond) // as it is kept
	id, from := device.IDOf(pub), g.address(r)
	who := auth.Caller{Kind: auth.DeviceKind, ID: string(id), Name: req.Facts.Name, From: from, Correlation: w.Header().Get("request-id")}
	dev, err := g.devices.Enrol(r.Context(), sha256.Sum256([]byte(token)), device.Device{
		ID: id, Keys: []ed25519.PublicKey{pub}, Facts: req.Facts, Catalog: string(req.Catalog),
		FirstSeen: now, LastSeen: now, External: from,
	}, func(string) audit.Entry {
		return audit.NewEntry(now, audit.Leaf{
			Act: audit.ActEnrol, Object: string(id), Device: string(id), Result: audit.Done,
		}, who.Hidden(""))
	})
	if errors.Is(err, fault.Forbidden) { // whoever has the token may try this at will: an entry an hour is enough
		g.note(r.Context(), dev.Tenant, id, audit.Leaf{
			Act: audit.ActEnrol, Object: string(id), Device: string(id), Result: audit.Refused, Detail: string(fault.Forbidden),
		}, from)
	}
	if err != nil {
		return err
	}
	// Only now: a stranger without a token must not fill the table of proofs that
	// were used. Enrolling the same key again does nothing, so a proof that is
	// repeated has done no harm by here.
	if err := g.once(proof, pub, http.StatusBadRequest); err != nil {
		return err
	}
	status := http.StatusOK
	if dev.FirstSeen.Equal(now) {
		status = http.StatusCreated
		g.count.Enrolled.Add(1)
		g.log.InfoContext(r.Context(), "device enrolled", "device", dev.ID, "tenant", dev.Tenant, "name", dev.Facts.Name, "from", from)
		g.tellSameName(r, dev)
	}
	answer(w, status, wire.EnrolAnswer{
		ClientID: dev.ID, IssuedAt: dev.FirstSeen.Unix(), ClientName: dev.Facts.Name,
		Keys: wire.JWKSet{Keys: []wire.JWK{wire.JWKOf(dev.Keys[0])}}, AuthMethod: wire.AuthMethod, Tenant: wire.TenantID(dev.Tenant),
		LogKey: g.keys.PublicLogKey(), ReceiptKey: g.keys.PublicReceiptKey(), RecoveryKey: g.keys.PublicRecoveryKey(),
	})
	return nil
}

// tellSameName flags a new device that has the name of another one: a device
// that was set up again, or one that would like to be taken for it.
func (g *Gateway) tellSameName(r *http.Request, dev device.Device) {
	if dev.Facts.Name == "" {
		return
	}
	same, err := g.devices.FindDevices(r.Context(), dev.Tenant, dev.Facts.Name)
	if err != nil {
		g.log.ErrorContext(r.Context(), "look for devices of one name", "device", dev.ID, "err", err)
		return
	}
	for _, other := range same {
		if other.ID != dev.ID && other.Facts.Name == dev.Facts.Name {
			g.log.WarnContext(r.Context(), "a new device has the name of another one", "device", dev.ID, "other", other.ID, "tenant", dev.Tenant, "name", dev.Facts.Name)
		}
	}
}

// readBody returns a bounded body of that media type.
func readBody(w http.ResponseWriter, r *http.Request, media string) ([]byte, error) {
	bad := func(status int, text string, cause error) error {
		return &refusal{status: status, code: wire.CodeInvalidRequest, text: text, cause: cause}
	}
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != media {
		return nil, bad(http.StatusUnsupportedMediaType, "The body has to be "+media, err)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxEnrol))
	if over, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, bad(http.StatusRequestEntityTooLarge, "The body is too long", over)
	}
	if err != nil {
		return nil, bad(http.StatusBadRequest, "The body could not be read to its end", err)
	}
	return body, nil
}
