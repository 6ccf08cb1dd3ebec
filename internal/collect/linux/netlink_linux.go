package linux

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"swab/internal/parse/nlmsg"
)

// Protocols of netlink.
const (
	protoRoute    = unix.NETLINK_ROUTE
	protoSockDiag = unix.NETLINK_SOCK_DIAG
)

// answerSize is more than the kernel puts into one answer of a dump (32 KiB).
const answerSize = 128 << 10

// conn is a netlink socket. It belongs to the network namespace that it was made
// in, whichever thread uses it. Raw system calls stand here in place of a
// library because one answer holds a hundred sockets and none of them needs
// memory of its own: see BenchmarkSockets.
type conn struct {
	fd    int
	inode uint64 // of the socket, so that the agent knows its own
	seq   uint32
	buf   []byte
}

// dial opens a netlink socket in a namespace, nil being the agent's own.
//
// A thread that has entered another namespace can't be trusted to go back, so
// it serves one call and is thrown away: its goroutine ends locked to it.
func dial(ns *os.File, protocol int) (*conn, error) {
	if ns == nil {
		return socket(protocol)
	}
	type result struct {
		c   *conn
		err error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The first thread stands for the process in /proc, and can't be
			// thrown away. It is held here while another does the work.
			inner := make(chan result, 1)
			go func() {
				runtime.LockOSThread()
				c, err := enter(ns, protocol)
				inner <- result{c, err}
			}()
			done <- <-inner
			runtime.UnlockOSThread()
			return
		}
		c, err := enter(ns, protocol)
		done <- result{c, err}
	}()
	r := <-done
	return r.c, r.err
}

func enter(ns *os.File, protocol int) (*conn, error) {
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("setns: %w", err)
	}
	return socket(protocol)
}

func socket(protocol int) (*conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	c := &conn{fd: fd}
	// The kernel answers at once or not at all.
	patience := unix.Timeval{Sec: 5}
	err = errors.Join(
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience),
	)
	var s unix.Stat_t
	if err == nil {
		err = unix.Fstat(fd, &s)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	c.inode = s.Ino
	return c, nil
}

func (c *conn) close() { unix.Close(c.fd) }

// dump asks for all of something and calls f for each answer, whose bytes are
// good until f returns. Where the kernel's table changed meanwhile it returns
// errInterrupted after all answers: they may miss or repeat an entry.
func (c *conn) dump(ctx context.Context, typ uint16, body []byte, f func(typ uint16, data []byte) error) error {
	if c.buf == nil {
		c.buf = make([]byte, answerSize)
	}
	c.seq++
	req := nlmsg.Request(typ, nlmsg.FlagRequest|nlmsg.FlagDump, c.seq, body)
	if err := unix.Sendto(c.fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("netlink: send: %w", err)
	}
	interrupted := false
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		b, err := c.receive()
		if err != nil {
			return err
		}
		for len(b) > 0 {
			var m nlmsg.Message
			if m, b, err = nlmsg.Next(b); err != nil {
				return err
			}
			if m.Seq != c.seq {
				continue // the rest of a dump that was given up
			}
			interrupted = interrupted || m.Flags&nlmsg.FlagInterrupted != 0
			switch m.Type {
			case nlmsg.TypeNoop:
			case nlmsg.TypeError, nlmsg.TypeDone:
				if err := m.Err(); err != nil {
					return fmt.Errorf("netlink: %w", err)
				}
				if interrupted {
					return errInterrupted
				}
				return nil
			default:
				if err := f(m.Type, m.Data); err != nil {
					return err
				}
			}
		}
	}
}

// receive reads one answer. Only the kernel's count: any process may send to a
// netlink socket's port.
func (c *conn) receive() ([]byte, error) {
	for {
		n, _, flags, from, err := unix.Recvmsg(c.fd, c.buf, nil, 0)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, fmt.Errorf("netlink: receive: %w", err)
		case flags&unix.MSG_TRUNC != 0:
			return nil, nlmsg.ErrShort
		}
		if a, ok := from.(*unix.SockaddrNetlink); ok && a.Pid == 0 {
			return c.buf[:n], nil
		}
	}
}
