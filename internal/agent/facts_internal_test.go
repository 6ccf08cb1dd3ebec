package agent

import (
	"net/netip"
	"testing"

	"swab/internal/device"
)

func TestADeviceIsToldByAnAddressThatOthersKnow(t *testing.T) {
	all := []device.Address{
		{IP: "127.0.0.1", Up: true}, {IP: "fe80::1", Up: true}, {IP: "198.51.100.1"}, {IP: "192.0.2.2", Up: true}, {IP: "192.0.2.3", Up: true},
	}
	for _, c := range []struct {
		local string
		all   []device.Address
		want  string
	}{
		{"192.0.2.3", all, "192.0.2.3"},
		{"::ffff:192.0.2.3", all, "192.0.2.3"},
		{"127.0.0.1", all, "192.0.2.2"},
		{"::1", all, "192.0.2.2"},
		{"127.0.0.1", all[:3], "127.0.0.1"},
	} {
		if got := spokenFrom(netip.MustParseAddr(c.local), c.all); got != c.want {
			t.Errorf("spokenFrom(%s, %v) = %s, want %s", c.local, c.all, got, c.want)
		}
	}
}
