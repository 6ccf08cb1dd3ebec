package gateway

import (
	"net/http"
	"testing"

	"swab/internal/audit"
	"swab/internal/wire"
)

// What an administrator does in the store is what the gateway goes by, for a
// device and for all of a tenant.
func TestRevocationInTheStoreCutsOff(t *testing.T) {
	for what, revoke := range map[string]func(t *testing.T, h *house, d *agent) error{
		"device": func(t *testing.T, h *house, d *agent) error {
			_, err := h.store.RevokeDevice(t.Context(), tenantID, d.id, audit.NewEntry(h.now(),
				audit.Leaf{Act: audit.ActRevokeDevice, Object: string(d.id), Result: audit.Done}, audit.Hidden{}))
			return err
		},
		"tenant": func(t *testing.T, h *house, _ *agent) error {
			_, err := h.store.RevokeTenant(t.Context(), otherID, tenantID, audit.NewEntry(h.now(),
				audit.Leaf{Act: audit.ActRevokeTenant, Object: tenantID, Result: audit.Done}, audit.Hidden{}))
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			h := newHouse(t)
			d, bystander := enrolled(t, h, tenantID), enrolled(t, h, otherID)
			c := d.connect(t)
			if err := revoke(t, h, d); err != nil {
				t.Fatal(err)
			}
			h.g.Wake(d.id)
			if got := c.hearBye(); got != wire.ByeRevoked {
				t.Errorf("bye %s, want revoked", got)
			}
			if resp, _, _ := d.dialStatus(t); resp == nil || resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("the channel opens again: %v", resp)
			}
			if resp, body := d.login(t); oauthError(body) != wire.CodeInvalidClient {
				t.Errorf("it gets a token: %s", resp.Status)
			}
			bystander.connect(t)
		})
	}
}
