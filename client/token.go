package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// tokens gets access tokens and keeps the last one while it is good.
type tokens struct {
	client   *Client
	endpoint string
	form     url.Values
	prover   *prover // nil: a secret in the form proves the application

	lock    chan struct{} // holds one while someone reads or renews; a channel, so that waiting ends with the context
	token   string
	expires time.Time
}

// maxToken bounds a token answer: 64 KiB.
const maxToken = 64 << 10

// Token returns a token that is good for a while yet.
func (t *tokens) Token(ctx context.Context, refused string) (string, error) {
	token, err := t.get(ctx, refused)
	if err != nil {
		return "", fmt.Errorf("get a token at %s: %w", t.endpoint, err)
	}
	return token, nil
}

func (t *tokens) get(ctx context.Context, refused string) (string, error) {
	c := t.client
	select {
	case t.lock <- struct{}{}:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	defer func() { <-t.lock }()
	if t.token != "" && t.token != refused && c.now().Before(t.expires) {
		return t.token, nil
	}
	if t.prover != nil {
		assertion, err := t.prover.assert(c.now())
		if err != nil {
			return "", err
		}
		t.form.Set("client_assertion", assertion)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.endpoint, strings.NewReader(t.form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	asked := c.now()
	resp, err := c.do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := readAll(resp.Body, maxToken)
	if err != nil {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	var answer struct {
		Type    string `json:"token_type"`
		Token   string `json:"access_token"`
		Expires int64  `json:"expires_in"`
	}
	// What the decoder says is left out: it may quote the token.
	if json.Unmarshal(body, &answer) != nil || answer.Token == "" || !strings.EqualFold(answer.Type, "Bearer") {
		return "", errors.New("the answer holds no bearer token")
	}
	// Renewed when a tenth of its life is left, so that none expires on its way.
	life := time.Duration(min(max(answer.Expires, 0), maxRetryAfter)) * time.Second
	t.token, t.expires = answer.Token, asked.Add(life-life/10)
	return t.token, nil
}
