package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/netip"
	"os"
	"runtime"
	"sync"

	"swab/internal/agent/state"
	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/device"
	"swab/internal/evidence"
)

// factsOf asks a host what it says of itself.
func factsOf(h *host.Host) func() device.Facts {
	return func() device.Facts {
		f := collect.Facts(h)
		f.AgentSHA256 = executableHash()
		return f
	}
}

// spokenFrom is the address of the device that is told as its last one: the one
// the connection has at this end. Where that is a loopback, to a server or a
// proxy on the device itself, it is the first that others could know it by.
func spokenFrom(local netip.Addr, all []device.Address) string {
	local = local.Unmap().WithZone("")
	if !local.IsLoopback() {
		return local.String()
	}
	for _, a := range all {
		ip, err := netip.ParseAddr(a.IP)
		if err == nil && a.Up && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			return ip.String()
		}
	}
	return local.String()
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

// openExecutable opens the program that runs: on Linux also where its file has
// been replaced since.
func openExecutable() (*os.File, error) {
	if runtime.GOOS == device.Linux {
		return os.Open("/proc/self/exe")
	}
	name, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return os.Open(name)
}

// deviceFacts is what a package's manifest says of the device.
func deviceFacts(f device.Facts, id state.Identity) evidence.DeviceFacts {
	return evidence.DeviceFacts{
		ID: id.Device(), Name: f.Name, OS: f.System, Platform: f.Platform, Version: f.Version, Arch: f.Arch, BootID: f.BootID,
		Key: id.Enrolment, Succession: id.Statements,
	}
}
