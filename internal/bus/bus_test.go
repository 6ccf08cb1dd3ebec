package bus_test

import (
	"testing"

	"go.uber.org/goleak"

	"swab/internal/bus"
	"swab/internal/bus/bustest"
	"swab/internal/device"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLocal(t *testing.T) {
	bustest.Run(t, func(_ *testing.T, subscriber func(device.ID)) bustest.Bus { return bus.NewLocal(subscriber) })
}
