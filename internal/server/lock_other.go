//go:build !unix

package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// lockDir takes the data directory for this process alone. A file that exists
// already is removed first, which these systems refuse while another process has
// it open.
func lockDir(dir string) (*os.File, error) {
	name := filepath.Join(dir, lockFile)
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s is in use: another server runs on this data directory (%w)", name, err)
	}
	return os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
}
