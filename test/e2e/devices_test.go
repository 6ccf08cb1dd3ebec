package e2e

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"swab/client"
	"swab/test/installation"
)

// keys waits until a device has had so many keys, and is connected by the last.
func keys(t *testing.T, c *client.Client, device string, n int) client.Device {
	t.Helper()
	ctx := within(t, 60*time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		d, err := c.Device(ctx, device)
		must(t, err)
		if d.Keys == n && !d.RotationPending {
			return d
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("device = %+v, want %d keys", d, n)
		}
	}
}

// A device has another key and is the same device: what it signed before and
// what it signs now verifies, with the receipt and by its id alone.
func TestADeviceHasAnotherKeyAndIsTheSame(t *testing.T) {
	in, c, device := install(t)
	before := keep(t, c, succeed(t, c, device).ID)
	first := keys(t, c, device, 1)
	if code, out := swab(t, in, "device", "rotate-key", device); code != 0 || !strings.Contains(out, "key pending") {
		t.Fatalf("rotate-key: exit %d: %s", code, out)
	}
	second := keys(t, c, device, 2)
	if second.ID != device || second.KeyThumbprint == first.KeyThumbprint || second.KeySince.IsZero() {
		t.Errorf("device = %+v, was %+v", second, first)
	}
	after := keep(t, c, succeed(t, c, device).ID)
	for _, name := range []string{before, after} {
		for _, how := range [][]string{{"--trust", filepath.Join(in.Data, "bootstrap.json")}, {"--device", device}} {
			if code, out := swab(t, in, append([]string{"verify", name, "--require", "authentic"}, how...)...); code != 0 || !strings.Contains(out, "authentic") {
				t.Errorf("verify %s: exit %d: %s", how, code, out)
			}
		}
	}
	must(t, in.Agents["a"].Kill())
	must(t, in.StartAgent("a"))
	succeed(t, c, device)
	if code, out := swab(t, in, "device", "rotate-key", device); code == 0 || !strings.Contains(out, "an hour after that") {
		t.Errorf("once more at once: exit %d: %s", code, out)
	}
	if code, out := swab(t, in, "audit", "verify"); code != 0 {
		t.Errorf("audit verify: exit %d: %s", code, out)
	}
}

// Whoever dies while a key is succeeded, and when, both come to one key.
func TestAKeyOutlivesItsAgentAndItsServer(t *testing.T) {
	for name, die := range map[string]func(t *testing.T, in *installation.Installation){
		"agent": func(t *testing.T, in *installation.Installation) {
			must(t, in.Agents["a"].Kill())
			must(t, in.StartAgent("a"))
		},
		"server": func(t *testing.T, in *installation.Installation) {
			must(t, in.Server.Kill())
			must(t, in.StartServer(within(t, 30*time.Second)))
		},
	} {
		for _, said := range []string{"device is asked for another key", "a device's key was succeeded"} {
			t.Run(name+"/"+said, func(t *testing.T) {
				in, c, device := install(t)
				if _, err := c.RotateDeviceKey(t.Context(), device); err != nil {
					t.Fatal(err)
				}
				must(t, in.Server.Await(within(t, 30*time.Second), said))
				die(t, in)
				d := keys(t, c, device, 2)
				if a := succeed(t, c, device); a.MachineID != d.ID {
					t.Errorf("action %+v", a)
				}
			})
		}
	}
}

// A server that was restored from before a device's last key learns it anew, when
// it is asked for.
func TestAServerThatLostADevicesKeyLearnsIt(t *testing.T) {
	in, c, device := install(t)
	must(t, in.Server.Stop())
	restore := snapshot(t, in)
	must(t, in.StartServer(within(t, 30*time.Second)))
	if _, err := c.RotateDeviceKey(within(t, 30*time.Second), device); err != nil {
		t.Fatal(err)
	}
	last := keys(t, c, device, 2)
	must(t, in.Server.Stop())
	restore()
	must(t, in.StartServer(within(t, 30*time.Second)))
	must(t, in.Server.Await(within(t, 60*time.Second), "Nobody asked the device for another key"))
	if d := keys(t, c, device, 1); d.KeyThumbprint == last.KeyThumbprint {
		t.Fatal("the restored server has the last key")
	}
	if _, err := c.RotateDeviceKey(within(t, 30*time.Second), device); err != nil {
		t.Fatal(err)
	}
	must(t, in.Agents["a"].Kill())
	must(t, in.StartAgent("a")) // which waits no more for its next try
	if d := keys(t, c, device, 2); d.KeyThumbprint != last.KeyThumbprint {
		t.Errorf("device = %+v, want the key %s that it had", d, last.KeyThumbprint)
	}
}

// A device that was set up again is another one of the same name, until the one
// that is gone is retired.
func TestADeviceThatWasSetUpAgainTakesItsName(t *testing.T) {
	in, c, device := install(t)
	must(t, in.Agents["a"].Kill())
	must(t, in.StartAgent("b"))
	ids, err := in.AwaitDevices(within(t, 30*time.Second), 2)
	must(t, err)
	twin := ids[0]
	if twin == device {
		twin = ids[1]
	}
	d, err := c.Device(t.Context(), twin)
	must(t, err)
	if len(d.Twins) != 1 || d.Twins[0] != device {
		t.Errorf("twins of %+v, want %s", d, device)
	}
	if _, err := c.Machine(t.Context(), d.Name); err == nil {
		t.Error("the name of two means one")
	}
	if code, out := swab(t, in, "device", "retire", device); code != 0 || !strings.Contains(out, "retired            yes") {
		t.Fatalf("retire: exit %d: %s", code, out)
	}
	m, err := c.Machine(t.Context(), d.Name)
	must(t, err)
	if m.ID != twin {
		t.Errorf("the name means %s, want %s", m.ID, twin)
	}
	succeed(t, c, d.Name)
	if _, err := c.Collect(context.Background(), device, client.CollectRequest{Comment: "x"}); err == nil || !strings.Contains(err.Error(), "retired") {
		t.Errorf("collect from the retired one: %v", err)
	}
	if code, out := swab(t, in, "device", "rename", device, "old-web.corp.example"); code != 0 {
		t.Fatalf("rename: exit %d: %s", code, out)
	}
	if d, err = c.Device(t.Context(), twin); err != nil || len(d.Twins) != 0 {
		t.Errorf("twins of %+v, %v; want none", d, err)
	}
}
