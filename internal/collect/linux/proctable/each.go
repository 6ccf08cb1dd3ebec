package proctable

import (
	"context"
	"errors"
	"time"

	"swab/internal/collect/host"
)

// Wait is how long the reading of a process may make no progress before it is
// abandoned.
const Wait = time.Second

// Scratch is the memory of one worker, used again for each process.
type Scratch struct {
	Buf   host.Buffer
	texts map[string]string
}

// Each reads something of each process, several at a time. work runs under the
// host's patience: it may be left behind, so it must write to nothing but its
// result and the scratch. done gets the result, or why there is none
// ([host.ErrAbandoned], [ErrReused], the process has ended); it may be called
// from several goroutines at once, each for another process. before, which may
// be nil, runs first and reports whether to go on; it must not block.
func Each[R any](ctx context.Context, ps *Processes,
	work func(s *Scratch, p *Process, dir *host.Tree, beat *host.Beat) (R, error),
	done func(p *Process, r R, err error),
	before func(p *Process) bool,
) {
	host.Parallel(ctx, len(ps.List), func() func(int) {
		scratch := new(Scratch)
		return func(i int) {
			p := ps.List[i]
			if before != nil && !before(p) || before == nil && p.EntityID == "" {
				return
			}
			r, err := one(ctx, ps.h, scratch, p, work)
			if err != nil {
				scratch = new(Scratch) // the old one may still be written to
			}
			done(p, r, err)
		}
	})
}

func one[R any](ctx context.Context, h *host.Host, s *Scratch, p *Process,
	work func(*Scratch, *Process, *host.Tree, *host.Beat) (R, error),
) (R, error) {
	type result struct {
		r   R
		err error
	}
	var none R
	if p.stuck.Load() {
		return none, host.ErrAbandoned // once is enough: another thread would hang like the first
	}
	dir, release, err := p.Open()
	if err != nil {
		return none, err
	}
	got := make(chan result, 1)
	err = h.Patience.Do(ctx, Wait, func(beat *host.Beat) {
		defer release()
		r, err := work(s, p, dir, beat)
		got <- result{r, err}
	})
	if err != nil {
		if errors.Is(err, host.ErrTooMany) {
			release() // it was not begun; of what was begun and blocks, release follows if it ever ends
		}
		p.stuck.Store(errors.Is(err, host.ErrAbandoned))
		return none, err
	}
	res := <-got
	return res.r, res.err
}
