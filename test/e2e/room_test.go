package e2e

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"swab/client"
)

// Threat P2: before the disk is full collections are refused with a reason, and
// everything else goes on.
func TestCollectionsAreRefusedBeforeTheDiskIsFull(t *testing.T) {
	in, c, device := install(t, "--disk-reserve", "9000000000000000000")
	_, err := c.Collect(within(t, 10*time.Second), device, client.CollectRequest{Comment: "alert 1234"})
	var refusal *client.Error
	if !errors.As(err, &refusal) || refusal.Status != http.StatusServiceUnavailable || !strings.Contains(refusal.Error(), "nearly full") {
		t.Errorf("collect: %v, want 503 and the reason", err)
	}
	if list, err := c.Actions(within(t, 10*time.Second), client.Page{}); err != nil || len(list) != 0 {
		t.Errorf("%d actions, %v, want none", len(list), err)
	}
	must(t, in.Server.Await(within(t, 10*time.Second), "the disk is nearly full"))
}
