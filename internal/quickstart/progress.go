package quickstart

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"swab/client"
	"swab/internal/action"
	"swab/internal/catalog"
)

// lookEvery is how often the collection is looked at for the eye. The action
// itself is followed through the API, as any client does.
const lookEvery = 50 * time.Millisecond

// follow waits until the action has ended and shows how far it is meanwhile.
// The stages are read from the server in this process: the public API has a
// status alone.
func (r *road) follow(ctx context.Context, c *client.Client, site *site, asked client.Action) (client.Action, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, actionTime, fmt.Errorf("not ended within %s", actionTime))
	defer cancel()
	type end struct {
		action client.Action
		err    error
	}
	ended := make(chan end, 1)
	go func() {
		a, err := c.Wait(ctx, asked.ID)
		ended <- end{a, err}
	}()
	view := newView(r.out)
	defer view.close()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	look := func() {
		if p, err := site.server.Progress(ctx, site.server.Bootstrap().TenantID, asked.ID); err == nil {
			r.progress = p
			view.show(p)
		} // a look that fails costs nothing but a line
	}
	for {
		select {
		case <-tick.C:
			look()
		case e := <-ended:
			look()
			if e.err == nil && e.action.Status != client.Succeeded {
				e.err = fmt.Errorf("action %s ended %s: %s", e.action.ID, e.action.Status, e.action.Trouble)
			}
			return e.action, e.err
		}
	}
}

// view shows where a collection is.
type view interface {
	show(action.Action)
	close()
}

// newView is bars on a terminal, and lines on anything else.
func newView(w io.Writer) view {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &bars{all: mpb.New(mpb.WithOutput(w), mpb.WithWidth(40), mpb.WithRefreshRate(lookEvery))}
	}
	return &lines{w: w, last: action.Action{Stage: -1}}
}

// stageName says what a stage takes; after the last one, the package is only
// on its way.
func stageName(stage int) string {
	names := map[catalog.Stage]string{
		catalog.Volatile: "volatile", catalog.State: "state", catalog.History: "history",
		catalog.FileSystem: "file system", catalog.OnDemand: "on demand",
	}
	if name, ok := names[catalog.Stage(stage)]; ok {
		return fmt.Sprintf("stage %d, %s", stage, name)
	}
	return "upload"
}

type lines struct {
	w    io.Writer
	last action.Action
}

func (l *lines) show(p action.Action) {
	if p.Of == 0 || p.Stage == l.last.Stage && p.Items == l.last.Items {
		return
	}
	l.last = p
	fmt.Fprintf(l.w, "%-9s %s: %d of %d items, %s\n", "progress", stageName(p.Stage), p.Items, p.Of, size(p.Bytes))
}

func (l *lines) close() {}

// bars has a bar for each stage that was begun, and one for the way of the
// package after the last.
type bars struct {
	all   *mpb.Progress
	stage int
	bar   *mpb.Bar
	bytes atomic.Int64 // of the package, arrived
}

func (b *bars) show(p action.Action) {
	if p.Of == 0 {
		return
	}
	b.bytes.Store(p.Bytes)
	if b.bar != nil && p.Stage != b.stage {
		b.finish(p.Items)
	}
	if b.bar == nil {
		b.stage = p.Stage
		b.bar = b.all.AddBar(int64(p.Of)+1, // full only when it is ended: items that are done are not yet all sent
			mpb.PrependDecorators(decor.Name(stageName(p.Stage), decor.WCSyncSpaceR)),
			mpb.AppendDecorators(
				decor.Any(func(s decor.Statistics) string {
					return fmt.Sprintf("%d of %d items", min(s.Current, int64(p.Of)), p.Of)
				}, decor.WCSyncSpace),
				decor.Any(func(decor.Statistics) string { return size(b.bytes.Load()) }, decor.WCSyncSpace)))
	}
	b.bar.SetCurrent(int64(p.Items))
}

// finish ends the present bar as full.
func (b *bars) finish(items int) {
	b.bar.SetCurrent(int64(items))
	b.bar.SetTotal(-1, true) // what there is, is all
	b.bar = nil
}

func (b *bars) close() {
	if b.bar != nil {
		b.bar.SetTotal(-1, true)
	}
	b.all.Wait()
}

// size is a number of bytes as people read it.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, prefix := float64(n)/unit, "KMGT"
	for f >= unit && len(prefix) > 1 {
		f, prefix = f/unit, prefix[1:]
	}
	return fmt.Sprintf("%.1f %ciB", f, prefix[0])
}
