package store_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"swab/internal/device"
	"swab/internal/odata"
	"swab/internal/store"
	"swab/internal/store/storetest"
)

// TestListsHoldWhatIsWithinReach: devices and their actions that a caller does not
// reach are in no list of theirs, and no count.
func TestListsHoldWhatIsWithinReach(t *testing.T) {
	for name, database := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			s := storetest.Open(t, store.Options{Database: database(t)})
			newDevice(t, s)
			d := devicesOf(t, s, 3)
			if err := s.Exec(t.Context(), `INSERT INTO device_groups (tenant, id, name, folded, description, rank, rule) VALUES (?, 1, 'one', 'one', '', 1, ?)`,
				tenantID, fmt.Sprintf(`[{"property":"deviceName","operator":"equals","values":[%q]}]`, d[1].Facts.Name)); err != nil {
				t.Fatal(err)
			}
			for i, one := range d {
				if _, err := s.CreateAction(t.Context(), newAction(one, i), link(i)); err != nil {
					t.Fatal(err)
				}
			}
			q := odata.All()
			q.Count = true
			for _, c := range []struct {
				reach device.Reach
				want  int64
			}{{device.Everywhere, 3}, {device.Reach{Groups: []int64{0, 1}}, 3}, {device.Reach{Groups: []int64{0}}, 2}, {device.Reach{Groups: []int64{1}}, 1}, {device.Reach{}, 0}} {
				devices, err := s.Devices(t.Context(), tenantID, c.reach, q)
				if err != nil || devices.Total != c.want || len(devices.Rows) != int(c.want) {
					t.Errorf("reach %v: %d devices of %d, %v, want %d", c.reach, len(devices.Rows), devices.Total, err, c.want)
				}
				actions, err := s.Actions(t.Context(), tenantID, c.reach, q)
				if err != nil || actions.Total != c.want || len(actions.Rows) != int(c.want) {
					t.Errorf("reach %v: %d actions of %d, %v, want %d", c.reach, len(actions.Rows), actions.Total, err, c.want)
				}
				at, err := s.DevicesAt(t.Context(), tenantID, c.reach, netip.MustParseAddr("10.0.0.1"), time.Time{}, time.Now().AddDate(1, 0, 0), 0)
				if err != nil || len(at) != 0 { // nobody told of one
					t.Errorf("reach %v: %d devices at the address, %v", c.reach, len(at), err)
				}
			}
		})
	}
}
