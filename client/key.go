package client

import (
	"context"
	"net/http"
	"time"
)

// Key is a key by which the server signs access tokens.
type Key struct {
	ID    string    `json:"id"`    // the kid in the tokens' header
	State string    `json:"state"` // announced, signs, verifies, ended or withdrawn
	From  time.Time `json:"from"`  // when it signs first
	Until time.Time `json:"until"` // when it signs no more; zero: until it is succeeded
}

const tokenKeysPath = "api/admin/v1/keys/access-tokens"

// TokenKeys lists the keys of access tokens, the newest first, also those that
// have ended. It takes the permission Swab.Administer.
func (c *Client) TokenKeys(ctx context.Context) ([]Key, error) {
	var out list[Key]
	err := c.call(ctx, http.MethodGet, tokenKeysPath, nil, nil, &out, maxList)
	return out.Value, err
}

// RotateTokenKey has the server make the next key of access tokens, which signs
// in a few minutes; tokens of the present one hold until they expire. With
// withdraw it signs at once, and every token that anybody has, this client's
// too, is worth nothing. Only administrators of the installation's first tenant
// may.
func (c *Client) RotateTokenKey(ctx context.Context, withdraw bool) (Key, error) {
	var out Key
	in := struct {
		Withdraw bool `json:"withdraw,omitempty"`
	}{withdraw}
	err := c.call(ctx, http.MethodPost, tokenKeysPath+"/rotate", nil, in, &out, maxEntity)
	return out, err
}
