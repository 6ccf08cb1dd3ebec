package server

import (
	"net/netip"
	"strings"
	"testing"
)

// Threat P12: some files stay for what is not a connection.
func TestConnectionsLeaveRoomForFiles(t *testing.T) {
	for _, tt := range []struct {
		all, address int // as set
		files        uint64
		want         bounds
		err          string
	}{
		{0, 0, 1024, bounds{768, 384}, ""},
		{0, 0, 20_000, bounds{15_000, 4096}, ""},
		{0, 0, 1 << 20, bounds{100_000, 4096}, ""},
		{0, 0, 0, bounds{100_000, 4096}, ""},
		{0, 15_000, 20_000, bounds{15_000, 15_000}, ""}, // behind a proxy that passes TCP through
		{100, 0, 1024, bounds{100, 50}, ""},
		{1, 0, 1024, bounds{1, 1}, ""},
		{200_000, 0, 1 << 20, bounds{200_000, 4096}, ""},
		{200_000, 0, 0, bounds{200_000, 4096}, ""},
		{769, 0, 1024, bounds{769, 384}, "--connections 769"},
		{0, 769, 1024, bounds{768, 769}, "--connections-per-address 769"},
	} {
		got, err := (&Config{Connections: tt.all, ConnectionsPerAddress: tt.address}).bounds(tt.files)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("bounds of %d, %d with %d files = %+v, %v, want %+v, %q", tt.all, tt.address, tt.files, got, err, tt.want, tt.err)
		}
	}
}

func TestAHostIsOneAddressHoweverManyItHas(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "2001:db8:1:2:ffff::": "2001:db8:1:2::/64",
	} {
		if got := network(netip.MustParseAddr(in)); got.String() != want {
			t.Errorf("network(%s) = %s, want %s", in, got, want)
		}
	}
}
