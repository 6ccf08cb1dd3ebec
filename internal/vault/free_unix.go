//go:build unix

package vault

import "golang.org/x/sys/unix"

// freeIn is how many bytes of a folder's file system are left for who is not root.
func freeIn(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // the types differ by system
}
