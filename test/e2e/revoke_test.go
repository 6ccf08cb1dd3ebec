package e2e

import (
	"strings"
	"testing"
	"time"

	"swab/client"
)

// A revoked enrolment token keeps new devices out and nobody that is in.
func TestRevokedTokenAdmitsNobody(t *testing.T) {
	in, c, device := install(t)
	tokens, err := c.Enrollments(t.Context())
	must(t, err)
	if len(tokens) != 1 || tokens[0].Revoked {
		t.Fatalf("enrolment tokens after the first start: %+v, want one that admits", tokens)
	}
	if code, out := swab(t, in, "enrollment", "revoke", tokens[0].ID); code != 0 || !strings.Contains(out, "revoked    yes") {
		t.Fatalf("revoke: exit %d: %s", code, out)
	}

	must(t, in.StartAgent("b"))
	must(t, in.Agents["b"].Await(within(t, 30*time.Second), "The enrolment token was revoked; ask for another"))
	select {
	case <-in.Agents["b"].Done(): // it gives up: no repetition would help
	case <-within(t, 30*time.Second).Done():
		t.Error("the agent that can't enrol goes on")
	}
	machines, err := c.Machines(t.Context(), client.Page{})
	must(t, err)
	if len(machines) != 1 || machines[0].ID != device {
		t.Errorf("devices: %+v, want %s alone", machines, device)
	}

	succeed(t, c, device)
	must(t, in.Agents["a"].Kill())
	must(t, in.StartAgent("a")) // with the revoked token, which it needs no more
	succeed(t, c, device)
	if code, out := swab(t, in, "audit", "verify"); code != 0 {
		t.Errorf("audit verify: exit %d: %s", code, out)
	}
}
