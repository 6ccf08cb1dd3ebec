package e2e

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"swab/client"
)

// kills is how often server and agent are each killed.
const kills = 20

// Server and agent are killed at random moments while collections are asked for
// without a pause. Every acknowledged action ends, once, and what succeeded
// verifies; the log holds all of it.
func TestCrashesLoseNothing(t *testing.T) {
	in, c, device := install(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex
	made := map[string]bool{}
	var caller sync.WaitGroup
	caller.Go(func() {
		for ctx.Err() == nil {
			a, err := c.Collect(ctx, device, client.CollectRequest{Comment: "crash test"})
			if err == nil {
				mu.Lock()
				made[a.ID] = true
				mu.Unlock()
				c.Wait(ctx, a.ID) // ends early where the server dies: the next collect then says Active
				continue
			}
			var refusal *client.Error
			if errors.As(err, &refusal) && refusal.Code != client.CodeActive && refusal.Status < 500 {
				t.Errorf("collect: %v", err)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	})

	victims := append(make([]bool, kills), make([]bool, kills)...)
	for i := range kills {
		victims[i] = true
	}
	r.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
	for _, server := range victims {
		select { // the moment of the crash is what the seed chooses
		case <-time.After(time.Duration(r.IntN(700)) * time.Millisecond):
		case <-t.Context().Done():
		}
		if server {
			must(t, in.Server.Kill())
			must(t, in.StartServer(within(t, 30*time.Second)))
		} else {
			must(t, in.Agents["a"].Kill())
			must(t, in.StartAgent("a"))
		}
	}
	stop()
	caller.Wait()

	succeeded := 0
	for id := range made {
		a, err := c.Wait(within(t, 90*time.Second), id)
		must(t, err)
		switch a.Status {
		case client.Succeeded:
			succeeded++
			name := keep(t, c, id)
			if code, out := swab(t, in, "verify", name, "--trust", filepath.Join(in.Data, "bootstrap.json"), "--require", "authentic"); code != 0 {
				t.Errorf("package of %s: exit %d: %s", id, code, out)
			}
		default:
			t.Errorf("action %s ended as %s: %s", id, a.Status, a.Trouble)
		}
	}
	t.Logf("%d actions were acknowledged, %d succeeded", len(made), succeeded)
	if len(made) < 5 {
		t.Errorf("only %d actions were acknowledged among %d crashes: nothing was tested", len(made), 2*kills)
	}
	if code, out := swab(t, in, "audit", "verify"); code != 0 {
		t.Errorf("audit verify: exit %d: %s", code, out)
	}
	for _, line := range in.Server.Lines() {
		if strings.Contains(line, "panic") || strings.Contains(line, "DATA RACE") {
			t.Errorf("server: %s", line)
		}
	}
}
