package bus_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/bus"
	"swab/internal/device"
)

func TestWakeUpsAreCounted(t *testing.T) {
	began, goOn := make(chan device.ID), make(chan struct{})
	b := bus.NewLocal(func(id device.ID) {
		began <- id
		<-goOn
	})
	defer b.Close()
	b.Wake("a")
	<-began // what comes now waits
	for _, id := range []device.ID{"a", "b", "a"} {
		b.Wake(id)
	}
	if diff := cmp.Diff(bus.Stats{Asked: 4, Merged: 1, Waiting: 2}, b.Stats()); diff != "" {
		t.Errorf("while a subscriber runs (-want +got):\n%s", diff)
	}
	goOn <- struct{}{}
	for range 2 {
		<-began
		goOn <- struct{}{}
	}
	if diff := cmp.Diff(bus.Stats{Asked: 4, Merged: 1}, b.Stats()); diff != "" {
		t.Errorf("when all are told (-want +got):\n%s", diff)
	}
}
