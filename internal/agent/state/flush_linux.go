package state

import "golang.org/x/sys/unix"

// Flush makes written bytes durable. The file's size never changes, so its data
// is all there is to flush.
func (h handle) Flush() error { return unix.Fdatasync(int(h.Fd())) }
