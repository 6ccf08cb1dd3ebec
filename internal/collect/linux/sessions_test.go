package linux

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/collect/host/hosttest"
	"swab/internal/row"
)

// record is one of utmp in its layout of 384 bytes.
func record(typ uint16, pid uint32, line, user, host string, sec uint32) string {
	b := make([]byte, 384)
	binary.LittleEndian.PutUint16(b, typ)
	binary.LittleEndian.PutUint32(b[4:], pid)
	copy(b[8:], line)
	copy(b[44:], user)
	copy(b[76:], host)
	binary.LittleEndian.PutUint32(b[340:], sec)
	return string(b)
}

// aHost is a host with one process, 7, that began at 1700000002.
func aHost(more hosttest.Files) hosttest.Files {
	files := hosttest.Files{
		"etc/passwd":                     "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n",
		"proc/stat":                      "btime 1700000000\n",
		"proc/uptime":                    "100.00 1.00\n",
		"proc/sys/kernel/random/boot_id": "boot\n",
		"proc/7/stat":                    "7" + stat,
		"proc/7/status":                  "Name:\tnginx\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n",
		"proc/7/cmdline":                 "nginx\x00",
	}
	for k, v := range more {
		files[k] = v
	}
	return files
}

func TestSessionsOfLogindAreCollected(t *testing.T) {
	out := gather(t, Sessions(), hosttest.New(t, aHost(hosttest.Files{
		"run/systemd/sessions/3": "# private data\nUID=1000\nUSER=alice\nACTIVE=1\nSTATE=active\nREMOTE=1\nREMOTE_HOST=192.0.2.7\nTYPE=tty\n" +
			"CLASS=user\nSERVICE=sshd\nTTY=pts/0\nLEADER=7\nREALTIME=1700000050000001\nMONOTONIC=1\n",
		"run/systemd/sessions/4":  "UID=0\nUSER=root\nSTATE=closing\nLEADER=99\n",
		"run/systemd/users/1000":  "NAME=alice\nSTATE=active\nREALTIME=1700000050000000\nSESSIONS=3 5\n",
		"run/systemd/sessions/d/": "",
	})))
	want := []row.Session{
		{
			User: "alice", UID: "1000", ID: "3", Terminal: "pts/0", RemoteHost: "192.0.2.7", RemoteIP: netip.MustParseAddr("192.0.2.7"),
			Start: time.UnixMicro(1700000050000001).UTC(), State: "active", Type: "tty", Class: "user", Service: "sshd", Leader: 7,
			Process: "nginx", EntityID: row.EntityID("boot", 7, 200), Alive: row.Yes, Source: "/run/systemd/sessions/3",
		},
		{
			User: "root", UID: "0", ID: "4", State: "closing", Leader: 99, Alive: row.No, Source: "/run/systemd/sessions/4",
			Note: "the process that opened the session is not there",
		},
		{
			User: "alice", UID: "1000", State: "active", Start: time.Unix(1700000050, 0).UTC(), Class: "user manager",
			Sessions: []string{"3", "5"}, Source: "/run/systemd/users/1000",
		},
	}
	if d := cmp.Diff(want, rowsOf[row.Session](out, "sessions"), addresses); d != "" {
		t.Error(d)
	}
}

func TestSessionsOfUtmpAreCollected(t *testing.T) {
	out := gather(t, Sessions(), hosttest.New(t, aHost(hosttest.Files{
		"run/utmp": record(2, 0, "~", "reboot", "6.1.0", 1700000000) + record(7, 7, "pts/0", "alice", "192.0.2.7", 1700000050) +
			record(7, 99, "pts/1", "ghost", "", 1700000060) + "rest",
	})))
	got := rowsOf[row.Session](out, "sessions")
	if len(got) != 3 {
		t.Fatalf("%d rows, want 3: %+v", len(got), got)
	}
	if got[0].State != "boot" || got[1].User != "alice" || got[1].Alive != row.Yes || got[1].RemoteIP.String() != "192.0.2.7" || got[1].Start.Unix() != 1700000050 {
		t.Errorf("rows: %+v", got[:2])
	}
	if got[2].Alive != row.No || got[2].Note == "" {
		t.Errorf("a session whose process is gone: %+v", got[2])
	}
	if len(out.notes) != 1 {
		t.Errorf("a rest that is no record was not noted: %v", out.notes)
	}
}

func TestSessionsAreDerivedFromProcessesWhereNothingKeepsThem(t *testing.T) {
	h := hosttest.New(t, aHost(hosttest.Files{
		"proc/7/loginuid": "1000", "proc/7/sessionid": "5",
		"proc/8/stat": "8" + stat, "proc/8/status": "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n", "proc/8/cmdline": "x", "proc/8/loginuid": "4294967295",
	}))
	out := gather(t, Sessions(), h)
	want := []row.Session{{
		User: "alice", UID: "1000", ID: "5", Start: time.Unix(1700000002, 0).UTC(), Leader: 7, Process: "nginx",
		EntityID: row.EntityID("boot", 7, 200), Alive: row.Yes, Derived: true, Processes: 1, Source: "/proc/PID/loginuid",
	}}
	if d := cmp.Diff(want, rowsOf[row.Session](out, "sessions"), addresses); d != "" {
		t.Error(d)
	}
}

func TestSessionsAreAbsentWhereNothingCanTell(t *testing.T) {
	err := Sessions().Collect(t.Context(), hosttest.New(t, hosttest.Files{"etc/passwd": ""}), &recorder{})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want fs.ErrNotExist", err)
	}
}

func TestYoungerProcessWithTheLeadersPidIsNotTheLeader(t *testing.T) {
	out := gather(t, Sessions(), hosttest.New(t, aHost(hosttest.Files{
		"run/systemd/sessions/3": "USER=alice\nLEADER=7\nREALTIME=1600000000000000\n",
	})))
	if got := rowsOf[row.Session](out, "sessions")[0]; got.Alive != row.No || got.Process != "" {
		t.Errorf("%+v", got)
	}
}

// Folders of logind that are empty, or that lack a session because somebody took
// its file away, hide nobody.
func TestSessionsThatNothingTellsOfAreDerived(t *testing.T) {
	h := hosttest.New(t, aHost(hosttest.Files{
		"run/systemd/sessions/": "", "run/systemd/users/": "", "proc/7/loginuid": "1000", "proc/7/sessionid": "5",
	}))
	got := rowsOf[row.Session](gather(t, Sessions(), h), "sessions")
	if len(got) != 1 || !got[0].Derived || got[0].UID != "1000" || got[0].ID != "5" {
		t.Errorf("with empty folders: %+v", got)
	}
	told := hosttest.New(t, aHost(hosttest.Files{
		"run/systemd/sessions/5": "USER=alice\nUID=1000\n", "proc/7/loginuid": "1000", "proc/7/sessionid": "5",
	}))
	if got := rowsOf[row.Session](gather(t, Sessions(), told), "sessions"); len(got) != 1 || got[0].Derived {
		t.Errorf("a session that logind tells of: %+v", got)
	}
}

func TestOnlyARowOfTheSameSessionKeepsItFromBeingDerived(t *testing.T) {
	for name, c := range map[string]struct {
		file, content string
		derived       bool
	}{
		"logged on at the terminal":        {"run/utmp", record(7, 7, "pts/0", "alice", "", 1700000050), false},
		"logged off from the terminal":     {"run/utmp", record(8, 7, "pts/0", "", "", 1700000050), true},
		"left over at the terminal":        {"run/utmp", record(7, 99, "pts/0", "alice", "", 1700000050), true},
		"another user's at the terminal":   {"run/utmp", record(7, 7, "pts/0", "root", "", 1700000050), true},
		"logind's":                         {"run/systemd/sessions/5", "UID=1000\nUSER=alice\n", false},
		"logind's by its process":          {"run/systemd/sessions/c1", "UID=1000\nUSER=alice\nLEADER=7\n", false},
		"logind's of another user":         {"run/systemd/sessions/5", "UID=0\nUSER=root\nLEADER=7\n", true},
		"logind's of the user's other one": {"run/systemd/sessions/6", "UID=1000\nUSER=alice\nLEADER=99\n", true},
		"the user's own":                   {"run/systemd/users/1000", "NAME=alice\nSESSIONS=5\n", true},
	} {
		h := hosttest.New(t, aHost(hosttest.Files{
			"proc/7/stat": "7" + strings.Replace(stat, " 7 7 0 ", " 7 7 34816 ", 1), "proc/7/loginuid": "1000", "proc/7/sessionid": "5", c.file: c.content,
		}))
		got := rowsOf[row.Session](gather(t, Sessions(), h), "sessions")
		if last := got[len(got)-1]; last.Derived != c.derived || c.derived && last.Terminal != "pts/0" {
			t.Errorf("%s: the last row is %+v, want derived %v", name, last, c.derived)
		}
	}
}
