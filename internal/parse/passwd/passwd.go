// Package passwd reads /etc/passwd (passwd(5)). Directory services are not
// asked: a collection speaks to nobody.
package passwd

import (
	"bytes"
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// MaxBytes is how much of the file is worth reading: some 100,000 users.
const MaxBytes = 8 << 20

// User is a line of the file. Its password field is told only by what it means.
type User struct {
	Name    string
	UID     uint32
	GID     uint32
	Comment string
	Home    string
	Shell   string
}

// Parse reads a file, a line at a time: one that can't be read is an error of
// its own. Comments and NIS inclusions ("+", "-") are passed over.
func Parse(data []byte) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) {
		for line := range bytes.Lines(data) {
			line = bytes.TrimRight(line, "\r\n")
			if len(bytes.TrimSpace(line)) == 0 || line[0] == '#' || line[0] == '+' || line[0] == '-' {
				continue
			}
			u, err := user(string(line))
			if err != nil {
				name, _, _ := bytes.Cut(line, []byte(":")) // no more: the next field may be a hash
				err = fmt.Errorf("user %.100q: %w", name, err)
			}
			if !yield(u, err) {
				return
			}
		}
	}
}

func user(line string) (User, error) {
	f := strings.Split(line, ":")
	if len(f) < 7 {
		return User{}, fmt.Errorf("%d fields where 7 belong", len(f))
	}
	uid, err := strconv.ParseUint(f[2], 10, 32)
	if err != nil {
		return User{}, err
	}
	gid, err := strconv.ParseUint(f[3], 10, 32)
	if err != nil {
		return User{}, err
	}
	return User{Name: f[0], UID: uint32(uid), GID: uint32(gid), Comment: f[4], Home: f[5], Shell: f[6]}, nil
}

// Names is the name of each user id: the first in the file, as the C library
// looks them up.
func Names(data []byte) map[uint32]string {
	names := map[uint32]string{}
	for u, err := range Parse(data) {
		if _, known := names[u.UID]; err == nil && !known {
			names[u.UID] = u.Name
		}
	}
	return names
}
