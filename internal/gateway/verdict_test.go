package gateway

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"

	"swab/internal/device"
	"swab/internal/vault"
)

// gate is a store that holds up those who ask for a device while it is shut.
type gate struct {
	Devices
	shut    atomic.Bool
	waiting atomic.Int32
	opened  chan struct{}
}

func (g *gate) DeviceByID(ctx context.Context, id device.ID) (device.Device, error) {
	if g.shut.Load() {
		g.waiting.Add(1)
		<-g.opened
	}
	return g.Devices.DeviceByID(ctx, id)
}

func TestFewVerdictsAreMadeAtOnceAndTheRestAfterTheNextStart(t *testing.T) {
	held := &gate{opened: make(chan struct{})}
	h := newHouse(t, func(o *Options, _ *vault.Options) {
		held.Devices = o.Devices
		o.Devices = held
	})
	for range judges + 3 {
		d, c, a := running(t, h)
		pkg := packageOf(t, d, a, 1, 0, nil)
		w, err := h.vault.Write(t.Context(), d.create(t, a.ID, 1))
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Append(0, int64(len(pkg)), bytes.NewReader(pkg))
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		c.CloseNow()
		eventually(t, "the device is away", func() bool { return h.g.table.of(d.id) == nil })
	}
	held.shut.Store(true)
	if err := h.g.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "verdicts begin", func() bool { return held.waiting.Load() >= judges })
	ended := make(chan error, 1)
	go func() { ended <- h.g.Shutdown(t.Context()) }()
	<-h.g.leaving
	close(held.opened)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for state, want := range map[vault.State]int{vault.Sealed: judges, vault.Complete: 3} {
		if ups, err := h.store.UploadsIn(t.Context(), state, 0); err != nil || len(ups) != want {
			t.Errorf("%d uploads are %s, %v; want %d", len(ups), state, err, want)
		}
	}
}
