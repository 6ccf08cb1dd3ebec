package linux

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/collect/host/hosttest"
)

// The kernel must not be made to run modprobe: only what is there is asked.
func TestSockDiagIsAskedOnlyOfModulesThatAreThere(t *testing.T) {
	const loaded = "tcp_diag 16384 0 - Live 0x0000000000000000\ninet_diag 24576 1 tcp_diag, Live 0x0000000000000000\n"
	const builtin = "kernel/net/unix/unix_diag.ko\nkernel/net/ipv4/ip_tunnel.ko\n"
	questions := map[string][]string{
		"tcp": diagOf("tcp"), "udp": diagOf("udp"), "udplite": diagOf("udplite"), "unix": {"unix_diag"}, "packet": {"af_packet_diag"},
	}
	for _, tt := range []struct {
		name  string
		files hosttest.Files
		may   []string
		left  []string
	}{
		{"a kernel without modules", hosttest.Files{"proc/stat": ""}, []string{"packet", "tcp", "udp", "udplite", "unix"}, nil},
		{
			"a kernel that loads no more", hosttest.Files{"proc/modules": loaded, "proc/sys/kernel/modules_disabled": "1\n"},
			[]string{"packet", "tcp", "udp", "udplite", "unix"}, nil,
		},
		{
			"a usual kernel", hosttest.Files{
				"proc/modules": loaded, "proc/sys/kernel/modules_disabled": "0\n", "proc/sys/kernel/osrelease": "6.1.0\n",
				"lib/modules/6.1.0/modules.builtin": builtin,
			},
			[]string{"tcp", "unix"}, []string{"af_packet_diag", "udp_diag"},
		},
		{"a kernel whose built-in parts are not known", hosttest.Files{"proc/modules": loaded}, []string{"tcp"}, []string{"af_packet_diag", "udp_diag", "unix_diag"}},
		{"a kernel with nothing loaded", hosttest.Files{"proc/modules": ""}, nil, []string{"af_packet_diag", "inet_diag", "unix_diag"}},
	} {
		d := findDiagModules(hosttest.New(t, tt.files))
		var may []string
		for _, q := range slices.Sorted(maps.Keys(questions)) {
			if d.may(questions[q]...) {
				may = append(may, q)
			}
		}
		if diff := cmp.Diff(tt.may, may); diff != "" {
			t.Errorf("%s: asked for (-want +got):\n%s", tt.name, diff)
		}
		if diff := cmp.Diff(tt.left, slices.Sorted(maps.Keys(d.left))); diff != "" {
			t.Errorf("%s: left to /proc (-want +got):\n%s", tt.name, diff)
		}
	}
}
