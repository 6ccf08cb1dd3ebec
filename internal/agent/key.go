package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"swab/internal/agent/state"
	"swab/internal/wire"
)

// The device's key is succeeded by another one when the server asks for it: the
// next key is in the state file before anything is said of it, and signs nothing
// else until the server is known to have taken it. All of that is done in one
// place, between two connections: there is no channel then on which a collection
// could begin, and after a crash at whatever point the same place does it again.
// What a server can gain by asking is nothing but that the device has had one key
// more, once an hour at most.

// succession is where the device is with its keys. The agent's lock guards it.
type succession struct {
	wanted   bool      // the server asks for another key, which waits for the attempt that runs
	unsure   bool      // the server may have taken a key that we do not know it has, or have lost one
	settling bool      // it is being told; no attempt begins
	notUntil time.Time // when the server may ask again
}

// How soon a server may ask again, after it took a key and after anything else.
// An honest one does so an hour after it took one, by its own clock.
const (
	keyEvery    = 50 * time.Minute
	keyTryEvery = time.Minute
)

// errNextKey ends a connection because the next one has another key.
var errNextKey = errors.New("the device's key is succeeded by another")

// wantKey is what a server's wish for another key leads to: errNextKey where that
// can be done at once.
func (a *Agent) wantKey(ctx context.Context) (reasonable bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.cfg.Now()
	if !a.keys.wanted && now.Before(a.keys.notUntil) {
		a.log.WarnContext(ctx, "refused to make another key: the server asked too soon after the last time", "until", a.keys.notUntil)
		return false, nil
	}
	a.keys.notUntil = now.Add(keyTryEvery)
	a.keys.wanted = true
	if a.busy() {
		return true, nil
	}
	return true, errNextKey
}

// turnToKey ends the connection for a key that waited for an attempt, if none runs.
func (a *Agent) turnToKey() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.keys.wanted && !a.busy() && a.line != nil {
		a.line.end(errNextKey)
	}
}

// doubtKey takes note of a refusal that may be of the key: after a crash, or a
// restored backup, server and device may differ about which one signs.
func (a *Agent) doubtKey(err error) {
	if refused(err, wire.CodeInvalidClient) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.keys.unsure = true
	}
}

// settleKey tells the server of the device's keys, where it asked for another one
// or may not know the last one, and signs with that one once it is taken. With a
// server that refuses it the present key goes on. The error is that of a server
// which could not be asked, or of a state file that can't be written: then it has
// to be done again before anything else.
func (a *Agent) settleKey(ctx context.Context) error {
	wanted, due := a.beginKey()
	if !due {
		return nil
	}
	taken, err := a.succeed(ctx, wanted)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys.settling = false
	if err != nil {
		return err
	}
	a.keys.unsure = false
	if taken {
		a.keys.notUntil = a.cfg.Now().Add(keyEvery)
	}
	return nil
}

// beginKey says whether there is something to be settled of the device's keys, and
// whether the server wants another one. From then on no attempt begins.
func (a *Agent) beginKey() (wanted, due bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy() || !a.keys.wanted && !a.keys.unsure {
		return false, false
	}
	wanted = a.keys.wanted
	a.keys.wanted, a.keys.unsure, a.keys.settling = false, true, true
	return wanted, true
}

// succeed brings server and device to the same key, and says whether it is one
// that was not in use yet.
func (a *Agent) succeed(ctx context.Context, another bool) (taken bool, err error) {
	id := a.state.Identity()
	if another {
		if id, err = a.state.Succeed(); err != nil {
			a.log.ErrorContext(ctx, "can't make another key; the present one goes on", "err", err)
			return false, nil
		}
	}
	if id.Next == nil && len(id.Statements) == 0 {
		return false, nil // there never was another
	}
	number, err := a.tellKeys(ctx, id)
	if _, no := errors.AsType[*refusal](err); no {
		a.log.WarnContext(ctx, "the server does not take the device's next key; the present one goes on", "err", err)
		return false, nil
	}
	if err != nil || id.Next == nil {
		return false, err
	}
	if err := a.state.Succeeded(); err != nil {
		return false, err
	}
	a.server.succeed(id.Next.Key())
	a.log.InfoContext(ctx, "the device's key was succeeded by another", "number", number)
	return true, nil
}

// tellKeys presents the device's chain of keys up to the last one, and proves that
// the device has that one.
func (a *Agent) tellKeys(ctx context.Context, id state.Identity) (number int, err error) {
	last, statements := id.Key(), id.Statements
	if id.Next != nil {
		last, statements = id.Next.Key(), append(slices.Clip(statements), id.Next.Statement)
	}
	body, err := json.Marshal(wire.KeyRequest{Device: a.device, Statements: statements})
	if err != nil {
		return 0, err
	}
	got, err := a.server.do(ctx, request{
		method: http.MethodPost, path: pathKey, key: last,
		header: http.Header{"Content-Type": {"application/json"}},
		body:   func() ([]byte, error) { return body, nil },
	}, http.StatusOK)
	if err != nil {
		return 0, fmt.Errorf("tell of the next key: %w", err)
	}
	answer, err := wire.ParseKeyAnswer(got.body)
	if err == nil && answer.Number != len(statements) {
		err = fmt.Errorf("it speaks of key %d, and this is key %d", answer.Number, len(statements))
	}
	if err != nil {
		return 0, fmt.Errorf("tell of the next key: %w", err)
	}
	return answer.Number, nil
}
