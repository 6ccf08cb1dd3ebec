package e2e

import (
	"errors"
	"slices"
	"testing"
	"time"

	"swab/client"
)

// A server that is killed and started again still knows what was taken.
func TestLimitsSurviveACrash(t *testing.T) {
	in := server(t, "--limits", "on")
	codes := func(n int) (got []string) {
		t.Helper()
		c := connect(t, in)
		for range n { // in too short a time for the client to wait until it may ask again
			_, err := c.PackageURI(within(t, 20*time.Second), "nosuch")
			e, ok := errors.AsType[*client.Error](err)
			if !ok {
				t.Fatal(err)
			}
			got = append(got, e.Code)
		}
		return got
	}
	if got := codes(2); !slices.Equal(got, []string{client.CodeNotFound, client.CodeNotFound}) {
		t.Fatalf("the first two calls: %v", got)
	}
	must(t, in.Server.Kill())
	must(t, in.StartServer(within(t, 30*time.Second)))
	if got := codes(1); got[0] != client.CodeTooMany {
		t.Errorf("the third, after a crash: %v", got)
	}
}
