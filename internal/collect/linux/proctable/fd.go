package proctable

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"swab/internal/collect/host"
	"swab/internal/parse/proc"
)

var errNoProc = fmt.Errorf("this host has none: %w", fs.ErrNotExist)

// Kind is what a descriptor is open on.
type Kind byte

// The kinds.
const (
	Path   Kind = iota // a name of a file system: file, directory, device, FIFO, memfd
	Socket             // socket:[inode]
	Pipe               // pipe:[inode]
	Anon               // anon_inode:… : eventfd, epoll, timerfd, inotify, a BPF program
	Other              // anything else that the kernel names by kind:[inode], as namespaces are
)

// FD is an open descriptor.
type FD struct {
	Number int32
	Kind   Kind
	Inode  uint64 // of a socket, a pipe, a namespace; else 0
	target string
}

// Target is the text of the descriptor's link.
func (f FD) Target() string {
	switch f.Kind {
	case Socket:
		return "socket:[" + strconv.FormatUint(f.Inode, 10) + "]"
	case Pipe:
		return "pipe:[" + strconv.FormatUint(f.Inode, 10) + "]"
	}
	return f.target
}

// descriptors lists what a process holds open.
func (p *Process) descriptors(s *Scratch, total *atomic.Int64) ([]FD, error) {
	dir, release, err := p.Open()
	if err != nil {
		return nil, err
	}
	defer release()
	fds, err := dir.Sub("fd")
	if err != nil {
		return nil, err
	}
	defer fds.Close()
	var list []FD
	err = fds.EachDirent(".", func(e host.Dirent) error {
		n, err := strconv.ParseUint(e.Name, 10, 31)
		if err != nil {
			return nil
		}
		if len(list) == MaxFDs || total.Add(1) > MaxAllFDs {
			return host.ErrTruncated
		}
		target, err := fds.Readlink(e.Name)
		if host.Gone(err) {
			return nil // closed since it was listed
		}
		if err != nil {
			return err
		}
		list = append(list, s.fd(int32(n), target))
		return nil
	})
	slices.SortFunc(list, func(a, b FD) int { return cmp.Compare(a.Number, b.Number) })
	return list, err
}

// fd keeps a descriptor in little memory: numbers for sockets and pipes, one
// string for what many descriptors share.
func (s *Scratch) fd(n int32, target string) FD {
	switch {
	case strings.HasPrefix(target, "/"):
		return FD{Number: n, Kind: Path, target: s.Intern(target)}
	case strings.HasPrefix(target, "anon_inode:"):
		return FD{Number: n, Kind: Anon, target: s.Intern(target)}
	}
	kind, inode, ok := proc.Inode(target)
	switch {
	case ok && kind == "socket":
		return FD{Number: n, Kind: Socket, Inode: inode}
	case ok && kind == "pipe":
		return FD{Number: n, Kind: Pipe, Inode: inode}
	}
	return FD{Number: n, Kind: Other, Inode: inode, target: s.Intern(target)}
}

// Intern is a text that many processes share, kept once.
func (s *Scratch) Intern(text string) string {
	if t, ok := s.texts[text]; ok {
		return t
	}
	if s.texts == nil {
		s.texts = map[string]string{}
	}
	if len(s.texts) < 4096 {
		s.texts[text] = text
	}
	return text
}
