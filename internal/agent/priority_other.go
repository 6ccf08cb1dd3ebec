//go:build !linux

package agent

// lowerPriority does nothing here: a thread's priority is not to be had without
// more than it would save.
func lowerPriority(uint64) (restore func()) { return func() {} }
