package agent

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"swab/internal/dpop"
	"swab/internal/dsse"
	"swab/internal/wire"
)

// What is left at least of a token's life: for a request, and for a channel,
// which the server ends with the token that opened it.
const (
	lifeForRequest = 30 * time.Second
	lifeForChannel = 8 * time.Minute
)

// accessToken returns a token that holds for a while, asking for one if need be.
func (s *server) accessToken(ctx context.Context, least time.Duration) (string, error) {
	select {
	case s.tokenLock <- struct{}{}:
		defer func() { <-s.tokenLock }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	if s.token != "" && s.expires.Sub(s.clock.device()) >= least {
		return s.token, nil
	}
	a, err := s.do(ctx, request{
		method: http.MethodPost, path: pathToken, body: s.tokenForm,
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	}, http.StatusOK)
	if err != nil {
		return "", fmt.Errorf("ask for a token: %w", err)
	}
	t, err := wire.ParseTokenAnswer(a.body)
	if err != nil {
		return "", fmt.Errorf("ask for a token: %w", err)
	}
	s.token, s.expires = t.AccessToken, s.clock.device().Add(time.Duration(t.ExpiresIn)*time.Second)
	return s.token, nil
}

func (s *server) forgetToken() {
	s.tokenLock <- struct{}{}
	s.token = ""
	<-s.tokenLock
}

func (s *server) tokenForm() ([]byte, error) {
	now, key := s.clock.device(), s.present()
	assertion, err := dpop.Assertion{
		Issuer: string(s.device), Subject: string(s.device), Audience: s.base.String() + pathToken, ID: dpop.NewID(),
		Nonce: s.lastNonce(), Issued: now.Unix(), Expires: now.Add(5 * time.Minute).Unix(),
	}.Sign(dsse.KeyID(key.Public().(ed25519.PublicKey)), key)
	if err != nil {
		return nil, err
	}
	return []byte(url.Values{
		"grant_type":            {wire.GrantType},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {assertion},
	}.Encode()), nil
}
