package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"

	"swab/internal/agent/state"
	"swab/internal/catalog"
	"swab/internal/device"
	"swab/internal/evidence"
)

// Survey is what the running device says of itself.
func Survey() device.Facts {
	f := device.Facts{
		System: runtime.GOOS, Arch: runtime.GOARCH, AgentVersion: catalog.Current().Release, AgentSHA256: executableHash(),
		Addresses: addresses(),
	}
	f.Name, _ = os.Hostname()
	surveySystem(&f)
	return f.Clean()
}

// executableHash is the SHA-256 of the agent's own program, read once; "" where
// it can't be read.
var executableHash = sync.OnceValue(func() string {
	f, err := openExecutable()
	if err != nil {
		return ""
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
})

func addresses() []device.Address {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var list []device.Address
	for _, i := range interfaces {
		on, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range on {
			n, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			list = append(list, device.Address{
				IP: n.IP.String(), MAC: strings.ToUpper(hex.EncodeToString(i.HardwareAddr)),
				Type: interfaceType(i), Up: i.Flags&net.FlagUp != 0,
			})
		}
	}
	return list[:min(len(list), device.MaxAddresses)]
}

func interfaceType(i net.Interface) string {
	switch {
	case i.Flags&net.FlagLoopback != 0:
		return "SoftwareLoopback"
	case i.Flags&net.FlagPointToPoint != 0:
		return "Tunnel"
	case strings.HasPrefix(i.Name, "wl"):
		return "Wireless80211"
	case len(i.HardwareAddr) == 6:
		return "Ethernet"
	}
	return "Other"
}

// deviceFacts is what a package's manifest says of the device.
func deviceFacts(f device.Facts, id state.Identity) evidence.DeviceFacts {
	return evidence.DeviceFacts{
		ID: id.Device(), Name: f.Name, OS: f.System, Platform: f.Platform, Version: f.Version, Arch: f.Arch, BootID: f.BootID,
		Key: id.Enrolment, Succession: id.Statements,
	}
}
