package linux

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/collect/linux/proctable"
	"swab/internal/parse/envfile"
	"swab/internal/parse/utmp"
	"swab/internal/row"
)

// Sessions gathers who is logged on.
//
// Source: logind's /run/systemd/sessions and users, and utmp. Each has rows of
// its own: where they differ, that is a finding (an attacker who edits utmp is
// still in logind's files). Sessions that neither tells of are derived from
// processes that have a login uid, and marked so: Debian 13 keeps no utmp, a
// container neither, and an attacker may have deleted both. The files are copied
// as they are.
//
// Privilege: none for the files; root for the login uid of others' processes.
func Sessions() collect.Collector { return sessions{} }

type sessions struct{}

func (sessions) Spec() collect.Spec {
	return collect.Spec{
		Item:    "linux.sessions",
		Source:  []string{"/run/systemd/sessions", "/run/systemd/users", "/run/utmp", "/proc/PID/{loginuid,sessionid,stat}"},
		Timeout: 10 * time.Second,
	}
}

// maxSessions bounds the files of each kind that are read.
const maxSessions = 10_000

// noLogin is the login uid of a process that no login started.
const noLogin = 1<<32 - 1

// sessionRun is one gathering.
type sessionRun struct {
	h     *host.Host
	out   collect.Sink
	ps    *proctable.Processes // nil where there is no procfs
	users map[uint32]string
	rows  []row.Session
	files []string // that were read
}

func (sessions) Collect(ctx context.Context, h *host.Host, out collect.Sink) error {
	r := &sessionRun{h: h, out: out, users: userNames(h)}
	ps, err := proctable.Snapshot(ctx, h)
	switch {
	case err == nil:
		r.ps = ps
	case context.Cause(ctx) != nil:
		return err
	case !host.Gone(err):
		out.Missing("processes", err)
	}
	logind := r.logindFiles("sessions", r.logindSession)
	users := r.logindFiles("users", r.logindUser)
	kept := r.utmpFile()
	if r.ps != nil {
		r.derive()
	} else if !logind && !users && !kept {
		return fmt.Errorf("neither logind, utmp nor procfs: %w", fs.ErrNotExist)
	}
	if err := out.Taken(ctx); err != nil {
		return err
	}
	for _, x := range r.rows {
		if err := out.Row("sessions", x); err != nil {
			return err
		}
	}
	return copyOriginals(ctx, h, out, r.files)
}

// logindFiles reads each file of one of logind's directories and reports whether
// the directory is there.
func (r *sessionRun) logindFiles(kind string, read func(name, source string, v map[string]string)) bool {
	dir := "run/systemd/" + kind
	files, err := r.h.Root.ReadDir(dir, maxSessions)
	switch {
	case host.Gone(err):
		return false
	case errors.Is(err, host.ErrTruncated):
		r.out.Truncated(fmt.Sprintf("more than %d files in /%s", maxSessions, dir), 0, 0)
	case err != nil:
		r.out.Missing("/"+dir, err)
	}
	slices.SortFunc(files, func(a, b host.Dirent) int { return cmp.Compare(a.Name, b.Name) })
	copied := 0
	for _, f := range files {
		// A session has a FIFO beside its file, "1.ref".
		if f.Kind != host.Regular && f.Kind != host.Unknown || strings.HasPrefix(f.Name, ".") {
			continue
		}
		source := "/" + dir + "/" + f.Name
		data, err := r.h.Root.ReadFile(source, envfile.MaxBytes)
		if host.Gone(err) || errors.Is(err, host.ErrNotRegular) {
			continue // the session ended meanwhile
		}
		if err != nil {
			r.out.Missing(source, err)
		}
		read(f.Name, source, envfile.Parse(data))
		if copied++; copied <= maxOriginals {
			r.files = append(r.files, source)
		}
	}
	if left := copied - maxOriginals; left > 0 {
		r.out.Truncated(fmt.Sprintf("copies of more than %d files of /%s: %d were left out", maxOriginals, dir, left), 0, 0)
	}
	return true
}

func (r *sessionRun) logindSession(name, source string, v map[string]string) {
	x := row.Session{
		User: v["USER"], UID: v["UID"], ID: name, Terminal: cmp.Or(v["TTY"], v["DISPLAY"]),
		RemoteHost: v["REMOTE_HOST"], RemoteIP: ipOf(v["REMOTE_HOST"]), RemoteUser: v["REMOTE_USER"],
		Start: microseconds(v["REALTIME"]), State: v["STATE"], Type: v["TYPE"], Class: v["CLASS"], Service: v["SERVICE"], Seat: v["SEAT"],
		Source: source,
	}
	leader, _ := strconv.Atoi(v["LEADER"])
	r.lead(&x, leader)
	r.rows = append(r.rows, x)
}

func (r *sessionRun) logindUser(name, source string, v map[string]string) {
	x := row.Session{
		User: v["NAME"], UID: name, State: v["STATE"], Start: microseconds(v["REALTIME"]), Class: "user manager",
		Sessions: strings.Fields(v["SESSIONS"]), Service: v["SERVICE"], Source: source,
	}
	if v["SERVICE_JOB"] != "" {
		x.Note = "job of its service: " + v["SERVICE_JOB"]
	}
	r.rows = append(r.rows, x)
}

// lead fills in the process that opened a session.
func (r *sessionRun) lead(x *row.Session, pid int) {
	x.Leader = pid
	if r.ps == nil || pid <= 0 {
		return
	}
	p, ok := r.ps.Process(pid)
	if ok && p.EntityID == "" && !p.Exited {
		return // it is there, and may not be looked at
	}
	if !ok || p.Exited {
		x.Alive = row.No
		x.Note = "the process that opened the session is not there"
		return
	}
	if at := r.h.Boot.At(p.Start); !x.Start.IsZero() && at.After(x.Start.Add(time.Minute)) {
		x.Alive = row.No
		x.Note = "the process that opened the session is not there: a younger one has its pid"
		return
	}
	x.Process, x.EntityID, x.Alive = p.Name(), p.EntityID, row.Yes
}

// utmpFile reads utmp, and reports whether it is there.
func (r *sessionRun) utmpFile() bool {
	for _, name := range []string{"/run/utmp", "/var/run/utmp"} {
		data, err := r.h.Root.ReadFile(name, utmp.MaxBytes)
		switch {
		case host.Gone(err):
			continue
		case errors.Is(err, host.ErrTruncated):
			r.out.Truncated(fmt.Sprintf("%s is longer than %d bytes", name, utmp.MaxBytes), 0, 0)
		case err != nil:
			r.out.Missing(name, err)
			return true
		}
		res := utmp.Parse(data)
		if res.Skipped > 0 || res.Rest > 0 {
			r.out.Note("%s: %d records make no sense, %d bytes at its end are no whole record.", name, res.Skipped, res.Rest)
		}
		r.files = append(r.files, name)
		for _, rec := range res.Records {
			r.utmpRecord(name, rec)
		}
		return true
	}
	return false
}

func (r *sessionRun) utmpRecord(source string, rec utmp.Record) {
	x := row.Session{
		User: rec.User, Terminal: rec.Line, RemoteHost: rec.Host, RemoteIP: rec.Address, Start: rec.Time,
		State: rec.Type.String(), ID: rec.ID, Source: source,
	}
	if !x.RemoteIP.IsValid() {
		x.RemoteIP = ipOf(rec.Host)
	}
	if rec.Type == utmp.UserProcess || rec.Type == utmp.LoginProcess {
		r.lead(&x, int(rec.PID))
		if rec.Type == utmp.UserProcess && x.Alive == row.No {
			x.Note = "the record says logged on, and its process is not there"
		}
	} else {
		x.Leader = int(rec.PID)
	}
	r.rows = append(r.rows, x)
}

// derive makes a row of each login uid, audit session and terminal that
// processes have and neither logind nor utmp told of.
func (r *sessionRun) derive() {
	type key struct {
		uid     uint64
		session uint64
		tty     uint32
	}
	type group struct {
		first *proctable.Process
		n     int
	}
	groups := map[key]*group{}
	for _, p := range r.ps.List {
		dir, release, err := p.Open()
		if err != nil {
			continue // it has ended
		}
		uid, err := number(dir, "loginuid")
		session, _ := number(dir, "sessionid")
		release()
		if err != nil {
			if !host.Gone(err) {
				r.out.Missing("login uid of a process", err)
			}
			continue
		}
		if uid == noLogin {
			continue
		}
		k := key{uid, session, p.Stat.TTY}
		if groups[k] == nil {
			groups[k] = &group{first: p}
		}
		g := groups[k]
		g.n++
		if p.Start < g.first.Start {
			g.first = p
		}
	}
	told := len(r.rows) // by logind and utmp
	for k, g := range groups {
		x := row.Session{
			User: r.users[uint32(k.uid)], UID: strconv.FormatUint(k.uid, 10), Terminal: terminal(g.first.Stat.Terminal()), Start: r.h.Boot.At(g.first.Start),
			Leader: g.first.PID, Process: g.first.Name(), EntityID: g.first.EntityID, Alive: row.Yes,
			Derived: true, Processes: g.n, Source: "/proc/PID/loginuid",
		}
		if k.session != noLogin {
			x.ID = strconv.FormatUint(k.session, 10)
		}
		if !slices.ContainsFunc(r.rows[:told], func(t row.Session) bool { return tells(t, x) }) {
			r.rows = append(r.rows, x)
		}
	}
	slices.SortFunc(r.rows[told:], func(a, b row.Session) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Leader, b.Leader))
	})
}

// tells reports whether a row of logind or utmp is of the same session as one
// that was derived from processes. A session's user must fit, and of utmp only
// records of somebody logged on count: one that is left over from before on the
// same terminal hides nobody.
func tells(t, derived row.Session) bool {
	if t.UID != "" && t.UID != derived.UID || t.UID == "" && derived.User != "" && t.User != derived.User {
		return false
	}
	if strings.HasPrefix(t.Source, "/run/systemd/sessions/") {
		return t.ID == derived.ID || t.Alive == row.Yes && t.Leader == derived.Leader
	}
	return t.State == utmp.UserProcess.String() && t.Alive == row.Yes &&
		(t.Leader == derived.Leader || t.Terminal != "" && t.Terminal == derived.Terminal)
}

// number reads a file that holds one number.
func number(dir *host.Tree, name string) (uint64, error) {
	b, err := dir.ReadFile(name, 64)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
}

// ipOf is an address if the text is one, with a zone or port of an X display
// taken off.
func ipOf(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.WithZone("").Unmap()
}

// microseconds is logind's form of a time.
func microseconds(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
