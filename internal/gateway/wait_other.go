//go:build !linux

package gateway

import "net"

func newWaiter(arrived arrivedFunc, broken brokenFunc) (waiter, error) {
	return &blocking{arrived: arrived, broken: broken}, nil
}

// Listen returns l. On Linux it makes idle devices cheap.
func Listen(l net.Listener) net.Listener { return l }
