package agent

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"swab/internal/agent/state"
	"swab/internal/catalog"
	"swab/internal/wire"
)

// ErrEnrolment is returned where no repetition would get this device enrolled.
var ErrEnrolment = errors.New("this device can't be enrolled")

// enrol joins the device to the server's tenant, unless it has been. The key is
// in the state file before it is sent, so that after a lost answer, or a crash,
// the same device asks again and is given the same answer.
func (a *Agent) enrol(ctx context.Context) error {
	if a.state.Identity().Pins != nil {
		return nil
	}
	if a.cfg.Token == "" {
		return fmt.Errorf("%w: it has no enrolment token; give one by SWAB_TOKEN or --token-file", ErrEnrolment)
	}
	if err := wire.CheckToken(a.cfg.Token); err != nil {
		return fmt.Errorf("%w: enrolment token: %w", ErrEnrolment, err)
	}
	answer, err := a.register(ctx)
	if err != nil {
		return err
	}
	if answer.ClientID != a.device {
		return fmt.Errorf("%w: the server enrolled %s, and this device is %s", ErrEnrolment, answer.ClientID, a.device)
	}
	err = a.state.Enrolled(state.Pins{
		Tenant: string(answer.Tenant), LogKey: answer.LogKey, ReceiptKey: answer.ReceiptKey, RecoveryKey: answer.RecoveryKey,
	})
	if err != nil {
		return err
	}
	a.log.InfoContext(ctx, "enrolled", "tenant", answer.Tenant)
	return nil
}

func (a *Agent) register(ctx context.Context) (wire.EnrolAnswer, error) {
	facts := a.cfg.Facts().Clean()
	body, err := json.Marshal(wire.EnrolRequest{
		ClientName: facts.Name, AuthMethod: wire.AuthMethod, GrantTypes: []string{wire.GrantType},
		Keys:            wire.JWKSet{Keys: []wire.JWK{wire.JWKOf(a.server.present().Public().(ed25519.PublicKey))}},
		SoftwareVersion: facts.AgentVersion, Facts: facts, Catalog: wire.Digest(catalog.Current().Digest()),
	})
	if err != nil {
		return wire.EnrolAnswer{}, err
	}
	got, err := a.server.do(ctx, request{
		method: http.MethodPost, path: pathEnrol, bearer: a.cfg.Token,
		header: http.Header{"Content-Type": {"application/json"}},
		body:   func() ([]byte, error) { return body, nil },
	}, http.StatusCreated, http.StatusOK)
	switch {
	case refused(err, wire.CodeInvalidToken):
		return wire.EnrolAnswer{}, fmt.Errorf("%w: its enrolment token is unknown, used up, expired or revoked: get a new one: %w", ErrEnrolment, err)
	case refused(err, wire.CodeInvalidMetadata):
		return wire.EnrolAnswer{}, fmt.Errorf("%w: %w", ErrEnrolment, err)
	case err != nil:
		return wire.EnrolAnswer{}, fmt.Errorf("enrol: %w", err)
	}
	answer, err := wire.ParseEnrolAnswer(got.body)
	if err != nil {
		return wire.EnrolAnswer{}, fmt.Errorf("enrol: %w", err)
	}
	return answer, nil
}
