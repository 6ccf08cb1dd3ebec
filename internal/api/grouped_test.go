package api

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMachinesShowTheirDeviceGroup: from the answer on that a rule was changed by,
// wherever machines stand meanwhile.
func TestMachinesShowTheirDeviceGroup(t *testing.T) {
	in := install(t)
	in.enrol(t, "srv-001.corp.example")
	made := in.as(t, full, "POST", "/api/admin/v1/deviceGroups",
		`{"name":"Servers","description":"","rule":[{"property":"deviceName","operator":"startsWith","values":["SRV-"]}],"userGroups":[]}`)
	if made.status != http.StatusCreated {
		t.Fatalf("a device group: %d %s", made.status, made.raw)
	}
	look := func(state string) {
		t.Helper()
		for query, want := range map[string][]string{
			"": {"srv-001.corp.example", "wks-042.corp.example"}, "$filter=rbacGroupName+eq+'Servers'": {"srv-001.corp.example"}, "$filter=rbacGroupName+eq+null": {"wks-042.corp.example"},
			"$filter=rbacGroupName+ne+'Servers'+and+startswith(computerDnsName,'wks')": {"wks-042.corp.example"}, "$filter=rbacGroupId+gt+0": {"srv-001.corp.example"}, "$filter=contains(rbacGroupName,'none')": {},
			"$filter=rbacGroupId+eq+0+or+osPlatform+eq+'none'": {"wks-042.corp.example"},
		} {
			g := in.as(t, reader, "GET", "/api/machines?"+query, "")
			if diff := cmp.Diff(want, g.column("computerDnsName")); g.status != http.StatusOK || diff != "" {
				t.Errorf("%s, machines?%s: %d (-want +got):\n%s%s", state, query, g.status, diff, g.raw)
			}
			if query == "" {
				if diff := cmp.Diff([]string{"Servers", "<nil>"}, g.column("rbacGroupName")); diff != "" {
					t.Errorf("%s, names of groups (-want +got):\n%s", state, diff)
				}
			}
		}
		one := in.as(t, reader, "GET", "/api/machines/srv-001", "")
		if one.json["rbacGroupName"] != "Servers" || one.json["rbacGroupId"] != 1.0 {
			t.Errorf("%s, one machine: %d %s", state, one.status, one.raw)
		}
	}
	look("before it is settled")
	if n, err := in.store.Settle(t.Context()); err != nil || n != 1 {
		t.Errorf("Settle() = %d, %v, want one machine moved", n, err)
	}
	look("when it is settled")
}
