package vault_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/vault"
)

func TestUploadsAreCounted(t *testing.T) {
	c := open(t, vault.Limits{PerDevice: 1, Open: 2})
	r := c.request()
	first, err := c.Create(t.Context(), r)
	c.must(err)
	r.Attempt = 2
	if _, err := c.Create(t.Context(), r); err == nil {
		t.Error("a second upload of one device is taken")
	}
	c.create()
	for range 2 {
		if _, err := c.Create(t.Context(), c.request()); err == nil {
			t.Error("a third upload is taken")
		}
	}
	if diff := cmp.Diff(vault.Stats{Open: 2, Most: 2, PerDevice: 1, InAll: 2}, c.Stats()); diff != "" {
		t.Errorf("two that receive (-want +got):\n%s", diff)
	}
	_, err = c.Keep(t.Context(), first.ID, "its attempt died")
	c.must(err)
	if open := c.Stats().Open; open != 1 {
		t.Errorf("%d uploads are open, want 1", open)
	}
}
