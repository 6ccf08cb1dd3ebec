//go:build !linux

package state

// Flush makes written bytes durable.
func (h handle) Flush() error { return h.Sync() }
