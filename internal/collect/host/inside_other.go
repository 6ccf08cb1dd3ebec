//go:build !linux

package host

import (
	"errors"
	"os"
)

func (h handle) inside(string) (handle, error) { return handle{}, errors.ErrUnsupported }

func (h handle) openNamespace(string, bool) (*os.File, error) { return nil, errors.ErrUnsupported }

func (h handle) usage(string) (Usage, error) { return Usage{}, errors.ErrUnsupported }
