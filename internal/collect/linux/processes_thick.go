package linux

import (
	"bytes"
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"syscall"

	"swab/internal/collect/host"
	"swab/internal/collect/linux/proctable"
	"swab/internal/parse/proc"
	"swab/internal/row"
)

// maxEnviron bounds one process's environment.
const maxEnviron = 64 << 10

// thickFacts is what the second pass reads of a process. It is filled by a goroutine that may be
// left behind, so it is joined to the row only once that has ended.
type thickFacts struct {
	cwd, root, cgroup, label, wchan string
	loginUID, session               string
	env                             []string
	envLeft                         int64
	limits                          []string
	io                              proc.IO
	oom                             int
	ns                              [6]uint64 // of nsNames
	exe                             host.Stat
	exeErr                          error
	named                           bool // the executable is called "… (deleted)", and is not
	misses                          []miss
	gone                            bool
}

var nsNames = [6]string{"pid", "user", "uts", "ipc", "cgroup", "time"}

// thick reads the second pass.
func (c *processReader) thick(s *proctable.Scratch, p *proctable.Process, dir *host.Tree, beat *host.Beat) (*thickFacts, error) {
	f := &thickFacts{}
	note := func(name string, err error) bool {
		if err != nil {
			f.misses = append(f.misses, miss{name, err})
		}
		return err == nil
	}
	file := func(name string, max int64) ([]byte, bool) {
		beat.Tick()
		b, err := s.Buf.Read(dir, name, max)
		return b, note(name, err)
	}
	link := func(name string) string {
		beat.Tick()
		l, err := dir.Readlink(name)
		note(name, err)
		return s.Intern(l)
	}
	kernel := p.Stat.KernelThread()
	if b, ok := file("cgroup", 64<<10); ok {
		f.cgroup = s.Intern(proc.Cgroup(b))
	}
	f.cwd, f.root = link("cwd"), link("root")
	if !kernel {
		b, err := s.Buf.Read(dir, "environ", maxEnviron)
		if err == nil || errors.Is(err, host.ErrTruncated) {
			c.environ(f, b)
		}
		note("environ", err)
		beat.Tick()
		f.exe, f.exeErr = dir.StatLink("exe")
		if strings.HasSuffix(p.Exe, deletedMark) && f.exeErr == nil {
			f.named = !unlinked(c.h, c.ps, p, p.Exe, f.exe)
		}
	}
	if b, ok := file("limits", 16<<10); ok {
		note("limits", f.readLimits(s, b))
	}
	if b, ok := file("io", 4<<10); ok {
		var err error
		f.io, err = proc.ParseIO(b)
		note("io", err)
	}
	if b, ok := file("loginuid", 64); ok {
		f.loginUID = set(b)
	}
	if b, ok := file("sessionid", 64); ok {
		f.session = set(b)
	}
	if b, ok := file("oom_score_adj", 64); ok {
		f.oom, _ = strconv.Atoi(string(bytes.TrimSpace(b)))
	}
	if b, ok := file("wchan", 256); ok && string(b) != "0" {
		f.wchan = s.Intern(string(b))
	}
	if b, ok := file("attr/current", 4<<10); ok {
		f.label = s.Intern(strings.TrimRight(string(b), "\x00\n"))
	}
	for i, name := range nsNames {
		if l := link("ns/" + name); l != "" {
			_, f.ns[i], _ = proc.Inode(l)
		}
	}
	c.fit(f)
	if len(f.misses) > 0 { // is it gone, or was something refused?
		_, err := dir.Lstat("stat")
		f.gone = err != nil && host.Gone(err)
	}
	return f, nil
}

// set is an audit id, or "" where none was set.
func set(b []byte) string {
	s := string(bytes.TrimSpace(b))
	if s == "4294967295" {
		return ""
	}
	return s
}

// environ keeps a process's variables, masked, within what all may have. A list
// of very short variables takes more than their text.
func (c *processReader) environ(f *thickFacts, b []byte) {
	env := c.mask.Env(proc.Strings(b))
	size := sizeOfTexts(env)
	if c.env.Add(int64(size)) > maxEnvironments || !c.ps.Take(size) {
		c.env.Add(-int64(size))
		f.envLeft = int64(len(b))
		return
	}
	f.env = env
}

// fit leaves out texts that there is no room for.
func (c *processReader) fit(f *thickFacts) {
	for _, t := range []struct {
		name string
		text *string
	}{{"cwd", &f.cwd}, {"root", &f.root}, {"cgroup", &f.cgroup}, {"attr/current", &f.label}} {
		if *t.text != "" && !c.ps.Take(len(*t.text)) {
			*t.text = ""
			c.textsLeft.Add(1)
			f.misses = append(f.misses, miss{t.name, proctable.ErrTexts})
		}
	}
}

// limitsOfNote are those that tell something of a process.
var limitsOfNote = []string{"Max core file size", "Max processes", "Max open files", "Max locked memory"}

func (f *thickFacts) readLimits(s *proctable.Scratch, b []byte) error {
	return proc.EachLimit(b, func(name, soft, hard []byte) {
		for _, want := range limitsOfNote {
			if string(name) == want {
				f.limits = append(f.limits, s.Intern(want+"="+string(soft)+":"+string(hard)))
			}
		}
	})
}

// done joins what the second pass read to the row.
func (c *processReader) done(p *proctable.Process, f *thickFacts, err error) {
	r := &c.rows[p.Index]
	if err != nil {
		r.Exited = r.Exited || host.Gone(err) || errors.Is(err, proctable.ErrReused)
		c.miss(r, "second pass", err)
		return
	}
	r.WorkingDir, r.Root, r.Cgroup, r.SecurityLabel, r.WaitsIn = f.cwd, f.root, f.cgroup, f.label, f.wchan
	r.ContainerRuntime, r.ContainerID = proc.Container(f.cgroup)
	r.LoginUID, r.AuditSession, r.Env, r.Limits, r.OOMAdjust = f.loginUID, f.session, f.env, f.limits, f.oom
	if id, err := strconv.ParseUint(f.loginUID, 10, 32); err == nil {
		r.LoginUser = c.users[uint32(id)]
	}
	r.ReadChars, r.WriteChars, r.ReadBytes, r.WriteBytes = f.io.ReadChars, f.io.WriteChars, f.io.ReadBytes, f.io.WriteBytes
	r.PIDNS, r.UserNS, r.UTSNS, r.IPCNS, r.CgroupNS, r.TimeNS = f.ns[0], f.ns[1], f.ns[2], f.ns[3], f.ns[4], f.ns[5]
	if f.exeErr == nil && r.Executable != "" {
		r.ExeDevice, r.ExeInode, r.ExeSize, r.ExeModified = f.exe.Dev.String(), f.exe.Inode, f.exe.Size, f.exe.MTime
	}
	if f.named {
		r.Executable, r.ExeDeleted, r.ExeMemfd = p.Exe, false, false
	}
	if f.envLeft > 0 {
		c.envLeft.Add(f.envLeft)
		r.Denied = join(r.Denied, "environ: left out, "+strconv.FormatInt(f.envLeft, 10)+" bytes")
	}
	if r.Exited = r.Exited || f.gone; r.Exited {
		return // it has ended: what is missing says nothing else
	}
	for _, m := range f.misses {
		c.miss(r, m.name, m.err)
	}
}

// miss names in a row what could not be read of the process, and counts it in the ledger. What is
// not there at all was not refused: a kernel without audit has no loginuid, one
// without a security module answers EINVAL, a zombie has no directories.
func (c *processReader) miss(r *row.Process, name string, err error) {
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ESRCH), errors.Is(err, syscall.EINVAL):
		return
	}
	if strings.HasPrefix(name, "ns/") {
		name = "ns"
	}
	why := reason(err)
	if entry := name + ": " + why; !strings.Contains(r.Denied, entry) {
		r.Denied = join(r.Denied, entry)
	}
	c.out.Missing("/proc/PID/"+name, err)
}

// reason is an error without the path it is about.
func reason(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	for _, known := range []error{host.ErrTruncated, host.ErrAbandoned, host.ErrTooMany, proctable.ErrReused} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return err.Error()
}

func join(list, entry string) string {
	if list == "" {
		return entry
	}
	return list + "; " + entry
}
