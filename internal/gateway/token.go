package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/dpop"
	"swab/internal/dsse"
	"swab/internal/fault"
	"swab/internal/wire"
)

// assertionType is the client_assertion_type of RFC 7523.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// token trades a device's assertion for an access token that is bound to its
// key.
func (g *Gateway) token(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(w, r, "application/x-www-form-urlencoded")
	if err != nil {
		return err
	}
	assertion, err := assertionOf(string(body))
	if err != nil {
		return err
	}
	proof, pub, err := g.proof(r, "", http.StatusBadRequest)
	if err != nil {
		return err
	}
	invalid := func(text string, cause error) error {
		return &refusal{status: http.StatusUnauthorized, code: wire.CodeInvalidClient, text: text, cause: cause}
	}
	un, err := dpop.ParseAssertion(assertion)
	if err != nil {
		return invalid("The assertion does not hold", err)
	}
	// One key signs both, so the assertion need not be looked up to be refused.
	claims, err := un.Verify(pub)
	if err != nil {
		return invalid("The assertion and the proof are not signed by one key", err)
	}
	switch {
	case un.KeyID != dsse.KeyID(pub):
		return invalid("The assertion names another key", nil)
	case claims.Issuer != claims.Subject:
		return invalid("The assertion's issuer is not its subject", nil)
	case !g.bases.has(claims.Audience, r.URL.EscapedPath()):
		return invalid("The assertion is for another server", nil)
	case !g.nonces.fresh(claims.Nonce):
		return &refusal{status: http.StatusBadRequest, code: wire.CodeUseNonce, text: "Repeat the request with the nonce that this answer gives"}
	}
	id, err := device.ParseID(claims.Subject)
	if err != nil {
		return invalid("The assertion's subject is not a device's id", err)
	}
	dev, err := g.devices.DeviceByID(r.Context(), id)
	switch {
	case errors.Is(err, fault.NotFound):
		return invalid("The device is not enrolled", err)
	case err != nil:
		return err
	case !pub.Equal(dev.Key()):
		return invalid("The key is not the device's", nil)
	case dev.Revoked:
		return invalid("The device is no longer enrolled", nil)
	}
	if err := g.once(proof, pub, http.StatusBadRequest); err != nil {
		return err
	}
	g.onKnown(r.Context())
	access, err := g.tokens.IssueDevice(dev.Tenant, dev.ID, dpop.Thumbprint(pub))
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, wire.TokenAnswer{AccessToken: access, TokenType: "DPoP", ExpiresIn: int64(auth.DeviceTokenLife.Seconds())})
	return nil
}

// assertionOf reads the form of a token request.
func assertionOf(body string) (string, error) {
	bad := func(code, text string) error {
		return &refusal{status: http.StatusBadRequest, code: code, text: text}
	}
	form, err := url.ParseQuery(body)
	if err != nil {
		return "", bad(wire.CodeInvalidRequest, "The body is not a form")
	}
	for name, values := range form {
		if len(values) != 1 {
			return "", bad(wire.CodeInvalidRequest, fmt.Sprintf("Parameter %.40q is given twice", name)) // RFC 6749, 3.2
		}
	}
	switch {
	case form.Get("grant_type") != wire.GrantType:
		return "", bad(wire.CodeUnsupportedGrant, "The grant has to be "+wire.GrantType)
	case form.Get("client_assertion_type") != assertionType:
		return "", bad(wire.CodeInvalidRequest, "client_assertion_type has to be "+assertionType)
	}
	return form.Get("client_assertion"), nil
}
