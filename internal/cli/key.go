package cli

import (
	"context"
	"io"

	"swab/client"
	"swab/internal/command"
)

type keyList struct {
	connection
	output
}

func (*keyList) Help() string {
	return "Shows the keys by which the server signs access tokens. A key is announced before it signs, and verifies the last tokens after it." + administersAll
}

func (l *keyList) Run(ctx context.Context, env command.Env) error {
	c, _, err := l.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	keys, err := c.TokenKeys(ctx)
	if err != nil {
		return err
	}
	return l.print(env.Stdout, keys, func(w io.Writer) error {
		rows := make([][]string, len(keys))
		for i, k := range keys {
			rows[i] = []string{k.ID, k.State, when(k.From), keyEnd(k)}
		}
		return table(w, "ID STATE FROM UNTIL", rows)
	})
}

type keyRotate struct {
	Purpose  string `arg:"" enum:"access-tokens" help:"Which key: access-tokens."`
	Withdraw bool   `help:"The present key was stolen: end it now. Every access token that anybody has is refused from then on; clients ask for another."`
	connection
	output
}

func (*keyRotate) Help() string {
	return "The server makes the next key, publishes it at once and signs by it in 10 minutes; tokens of the present key hold until they expire. " +
		"By itself it does so every 90 days. For administrators of the installation's first tenant." + administersAll
}

func (r *keyRotate) Run(ctx context.Context, env command.Env) error {
	c, _, err := r.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	k, err := c.RotateTokenKey(ctx, r.Withdraw)
	if err != nil {
		return err
	}
	return r.print(env.Stdout, k, func(w io.Writer) error {
		return fields(w, "id", k.ID, "state", k.State, "from", when(k.From), "until", keyEnd(k))
	})
}

func keyEnd(k client.Key) string {
	if k.Until.IsZero() {
		return "succeeded"
	}
	return when(k.Until)
}
