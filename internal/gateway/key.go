package gateway

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/wire"
)

// succeed puts a device's next key in the place of its present one. The request
// is believed for what it brings: the statement is signed by the present key, and
// the proof by the next. It needs no access token, since a device that lost the
// answer can't know which of its keys gets one.
func (g *Gateway) succeed(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(w, r, "application/json")
	if err != nil {
		return err
	}
	proof, pub, err := g.proof(r, "", http.StatusBadRequest)
	if err != nil {
		return err
	}
	req, err := wire.ParseKeyRequest(body)
	if err != nil {
		return &refusal{status: http.StatusBadRequest, code: wire.CodeInvalidRequest, text: "The request does not name a key: " + err.Error()}
	}
	id, err := device.ParseID(string(req.Device))
	if err != nil {
		return err
	}
	had, err := g.devices.DeviceByID(r.Context(), id)
	switch {
	case errors.Is(err, fault.NotFound):
		return &refusal{status: http.StatusUnauthorized, code: wire.CodeInvalidClient, text: "The device is not enrolled", cause: err}
	case err != nil:
		return err
	case had.Revoked:
		return &refusal{status: http.StatusUnauthorized, code: wire.CodeInvalidClient, text: "The device is no longer enrolled"}
	}
	keys, err := chainOf(had, req.Statements)
	switch {
	case err != nil:
		return &refusal{status: http.StatusForbidden, code: wire.CodeInvalidRequest, text: "The statements do not lead from the device's key to another", cause: err}
	case !pub.Equal(keys[len(keys)-1]):
		return &refusal{status: http.StatusBadRequest, code: wire.CodeInvalidProof, text: "The proof is not signed by the key that the last statement names"}
	}

	now := g.now().UTC().Truncate(100 * time.Nanosecond) // as it is kept
	from, number := g.address(r), len(req.Statements)
	who := auth.Caller{Kind: auth.DeviceKind, ID: string(id), Name: had.Facts.Name, From: from, Correlation: w.Header().Get("request-id")}
	leaf := audit.Leaf{Act: audit.ActDeviceKey, Object: string(id), Device: string(id), Result: audit.Done, Detail: strconv.Itoa(number)}
	dev, err := g.devices.SucceedDeviceKey(r.Context(), had.Tenant, id, keys, req.Statements, now, audit.NewEntry(now, leaf, who.Hidden("")))
	if errors.Is(err, fault.Forbidden) {
		leaf.Result, leaf.Detail = audit.Refused, string(fault.Forbidden)
		g.note(r.Context(), had.Tenant, id, leaf, from)
	}
	if err != nil {
		return err
	}
	// Only now, as for an enrolment: to succeed to the same key again does nothing.
	if err := g.once(proof, pub, http.StatusBadRequest); err != nil {
		return err
	}
	g.onKnown(r.Context())
	if dev.KeySince.Equal(now) {
		g.count.Succeeded.Add(1)
		g.log.InfoContext(r.Context(), "a device's key was succeeded", "device", id, "tenant", dev.Tenant, "number", number, "from", from)
		g.wake(id) // whoever still holds a connection by the key before
	}
	answer(w, http.StatusOK, wire.KeyAnswer{Number: number})
	return nil
}

// chainOf returns the keys of statements that go on from those that a device
// has. A chain that the device has already costs no look at its signatures.
func chainOf(d device.Device, statements [][]byte) ([]ed25519.PublicKey, error) {
	if len(statements) < len(d.Statements) || !slices.EqualFunc(statements[:len(d.Statements)], d.Statements, bytes.Equal) {
		return nil, errors.New("they fork from those that the device has, or end before them")
	}
	if len(statements) == len(d.Statements) && len(statements) > 0 {
		return d.Keys, nil
	}
	return device.Chain(d.Keys[0], statements)
}
