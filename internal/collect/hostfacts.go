package collect

import (
	"encoding/hex"
	"net"
	"runtime"
	"strings"

	"swab/internal/catalog"
	"swab/internal/collect/host"
	"swab/internal/device"
)

// Facts is what the running device says of itself: its name, system, addresses.
// The hash of the agent's program and the address it speaks from are the agent's
// to add. Nobody is asked: names come from the host's own files.
func Facts(h *host.Host) device.Facts {
	f := device.Facts{
		System: runtime.GOOS, Arch: runtime.GOARCH, BootID: h.Boot.ID, AgentVersion: catalog.Current().Release, Addresses: interfaceAddresses(),
	}
	systemFacts(h, &f)
	return f.Clean()
}

// interfaceAddresses is every address of every interface, those that reach
// further first, so that a bound leaves out what says least.
func interfaceAddresses() []device.Address {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var far, near []device.Address
	for _, i := range interfaces {
		addresses, err := i.Addrs()
		if err != nil {
			continue // it has gone
		}
		for _, a := range addresses {
			n, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			out := device.Address{
				IP: n.IP.String(), MAC: strings.ToUpper(hex.EncodeToString(i.HardwareAddr)), Type: interfaceType(i), Up: i.Flags&net.FlagUp != 0,
			}
			if len(i.HardwareAddr) > 0 && n.IP.IsGlobalUnicast() {
				far = append(far, out)
			} else {
				near = append(near, out)
			}
		}
	}
	all := append(far, near...)
	return all[:min(len(all), device.MaxAddresses)]
}

// interfaceType is a type as Defender has them.
func interfaceType(i net.Interface) string {
	switch {
	case i.Flags&net.FlagLoopback != 0:
		return "SoftwareLoopback"
	case i.Flags&net.FlagPointToPoint != 0:
		return "Tunnel"
	case strings.HasPrefix(i.Name, "wl") || strings.HasPrefix(i.Name, "Wi-Fi"):
		return "Wireless80211"
	case len(i.HardwareAddr) == 6:
		return "Ethernet"
	}
	return "Other"
}
