package linux

import "fmt"

// capabilityNames are those of capability(7), by bit.
var capabilityNames = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
	"CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
	"CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
	"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// capabilitySet is a set in both its forms. Processes share a few.
type capabilitySet struct {
	names []string
	hex   string
}

// capabilities is a set's names, and its hex form; of the empty set neither.
func (c *processReader) capabilities(set uint64) capabilitySet {
	if set == 0 {
		return capabilitySet{}
	}
	if known, ok := c.caps.Load(set); ok {
		return known.(capabilitySet)
	}
	s := capabilitySet{hex: fmt.Sprintf("%016x", set)}
	for bit := range 64 {
		switch {
		case set>>bit&1 == 0:
		case bit < len(capabilityNames):
			s.names = append(s.names, capabilityNames[bit])
		default:
			s.names = append(s.names, fmt.Sprintf("CAP_%d", bit))
		}
	}
	c.caps.Store(set, s)
	return s
}
