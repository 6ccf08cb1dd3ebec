package linux

import (
	"swab/internal/collect/host"
	"swab/internal/parse/passwd"
)

// userNames is the host's users by id, read once for a package. Without the file
// there are none: rows then have the number alone.
func userNames(h *host.Host) map[uint32]string {
	type key struct{}
	names, _ := host.Once(h, key{}, func() (map[uint32]string, error) {
		data, err := h.Root.ReadFile("etc/passwd", passwd.MaxBytes)
		return passwd.Names(data), err
	})
	return names
}
