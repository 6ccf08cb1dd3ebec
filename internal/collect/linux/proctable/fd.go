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
	Left   bool   // the target was left out, for want of room: [Process.Target] reads it again
	Inode  uint64 // of a socket, a pipe, a namespace; else 0
	target string
}

// Target is the text of the descriptor's link; "" where it was left out.
func (f FD) Target() string {
	switch f.Kind {
	case Socket:
		return "socket:[" + strconv.FormatUint(f.Inode, 10) + "]"
	case Pipe:
		return "pipe:[" + strconv.FormatUint(f.Inode, 10) + "]"
	}
	return f.target
}

// Target is the text of a descriptor's link, which is read again where it was left
// out. The process may have ended since, and the descriptor may be another's.
func (p *Process) Target(f FD) (string, error) {
	if !f.Left {
		return f.Target(), nil
	}
	dir, release, err := p.Open()
	if err != nil {
		return "", err
	}
	defer release()
	return dir.Readlink("fd/" + strconv.Itoa(int(f.Number)))
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
		if p.FDsLeft > 0 || len(list) == MaxFDs || total.Add(1) > MaxAllFDs || !p.table.room.take(perFD) {
			p.FDsLeft++ // the rest is counted alone
			return nil
		}
		target, err := fds.Readlink(e.Name)
		if host.Gone(err) {
			return nil // closed since it was listed
		}
		if err != nil {
			return err
		}
		list = append(list, s.fd(&p.table.room, int32(n), target))
		return nil
	})
	slices.SortFunc(list, func(a, b FD) int { return cmp.Compare(a.Number, b.Number) })
	if err == nil && p.FDsLeft > 0 {
		err = host.ErrTruncated
	}
	return slices.Clone(list), err // as long as it is: a list that grew has room that nobody fills
}

// perFD is what a descriptor takes: itself, and an entry among the sockets' owners.
const perFD = 32 + 16

// fd keeps a descriptor in little memory: numbers for sockets and pipes, one
// string for what many descriptors share.
func (s *Scratch) fd(room *room, n int32, target string) FD {
	f := FD{Number: n}
	kind, inode, ok := proc.Inode(target)
	switch {
	case strings.HasPrefix(target, "/"):
		f.Kind = Path
	case strings.HasPrefix(target, "anon_inode:"):
		f.Kind = Anon
	case ok && kind == "socket":
		f.Kind, f.Inode = Socket, inode
		return f
	case ok && kind == "pipe":
		f.Kind, f.Inode = Pipe, inode
		return f
	default:
		f.Kind, f.Inode = Other, inode
	}
	if t, ok := s.texts[target]; ok {
		f.target = t
	} else if room.text(len(target), 1) {
		f.target = s.Intern(target)
	} else {
		f.Left = true
	}
	return f
}

// Intern is a text that many processes share, kept once.
func (s *Scratch) Intern(text string) string {
	if t, ok := s.texts[text]; ok {
		return t
	}
	if s.texts == nil {
		s.texts = map[string]string{}
	}
	if len(s.texts) < 4096 && len(text) <= 256 {
		s.texts[text] = text
	}
	return text
}
