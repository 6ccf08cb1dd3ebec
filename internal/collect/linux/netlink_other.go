//go:build !linux

package linux

import (
	"context"
	"errors"
	"os"
)

const protoRoute, protoSockDiag = 0, 0

// conn is a netlink socket, which only Linux has: elsewhere the collectors read
// trees of files.
type conn struct{ inode uint64 }

func dial(*os.File, int) (*conn, error) { return nil, errors.ErrUnsupported }

func (c *conn) close() {}

func (c *conn) dump(context.Context, uint16, []byte, func(uint16, []byte) error) error {
	return errors.ErrUnsupported
}
