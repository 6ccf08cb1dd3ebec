package linux

import (
	"fmt"
	"strings"
	"testing"

	"swab/internal/collect/host/hosttest"
	"swab/internal/collect/linux/proctable"
	"swab/internal/row"
)

const crowdStat = "%d (a) S 1 7 7 0 -1 0 1 0 0 0 5 6 0 0 20 0 1 0 250 1000 200 0 1 1 1 1 1 0 0 0 0 0 0 0 17 1 0 0 0 0 0 1 1 1 1 1 1 1 0\n"

func TestProcessesPastTheBoundAreCounted(t *testing.T) {
	const over = 20
	files := hosttest.Files{"proc/uptime": "1 1\n"}
	for pid := 1; pid <= proctable.MaxProcesses+over; pid++ {
		files[fmt.Sprintf("proc/%d/", pid)] = ""
	}
	out := gather(t, Processes(), hosttest.New(t, files))
	const half = proctable.MaxProcesses / 2
	cause := fmt.Sprintf("%d processes over the %d that there is room for (%d rows, 0 bytes)", over, proctable.MaxProcesses, over)
	note := fmt.Sprintf("Left out are processes whose pids lie between %d and %d.", half, half+over+1)
	if len(out.truncated) != 1 || out.truncated[0] != cause || out.notes[0] != note || len(out.rows["processes"]) != proctable.MaxProcesses {
		t.Errorf("%d rows, truncated %q, notes %q; want %q, %q", len(out.rows["processes"]), out.truncated, out.notes, cause, note)
	}
}

func TestAllDescriptorsHaveTheirFacts(t *testing.T) {
	const n = 2*maxFacts + 1
	files := hosttest.Files{"proc/uptime": "1 1\n", "proc/7/stat": fmt.Sprintf(crowdStat, 7), "proc/7/status": "Uid:\t0\t0\t0\t0\n"}
	for fd := range n {
		files[fmt.Sprintf("proc/7/fd/%d", fd)] = "-> pipe:[82]"
		files[fmt.Sprintf("proc/7/fdinfo/%d", fd)] = fmt.Sprintf("pos:\t%d\nflags:\t02\nmnt_id:\t9\n", fd)
	}
	rows := rowsOf[row.OpenFile](gather(t, OpenFiles(), hosttest.New(t, files)), "open_files")
	if len(rows) != n {
		t.Fatalf("%d rows, want %d", len(rows), n)
	}
	for i, r := range rows {
		if int(r.FD) != i || r.Position != int64(i) {
			t.Fatalf("row %d is descriptor %d at %d", i, r.FD, r.Position)
		}
	}
}

// What is kept is counted, and what has no room any more is told of.
func TestWhatHasNoRoomIsCounted(t *testing.T) {
	h := hosttest.New(t, hosttest.Files{
		"proc/uptime": "1 1\n", "proc/7/stat": fmt.Sprintf(crowdStat, 7), "proc/7/status": "Uid:\t0\t0\t0\t0\n",
		"proc/7/environ": "A=b\x00", "proc/7/cwd": "-> /srv", "proc/7/cmdline": strings.Repeat("a\x00", 100),
		"proc/7/maps": "1000-2000 r-xp 00000000 fe:00 5 /usr/lib/a.so\n3000-4000 rwxp 00000000 00:00 0 \n", "proc/7/fd/": "",
	})
	ps, err := proctable.Snapshot(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	for n := proctable.MaxKept; n > 0; n /= 2 {
		for ps.Take(n) {
		}
	}
	maps := gather(t, Maps(), h)
	if len(maps.rows["maps"]) != 0 || len(maps.truncated) != 2 || !strings.HasPrefix(maps.truncated[0], "1 executable files in memory") || !strings.HasSuffix(maps.truncated[1], "(1 rows, 0 bytes)") {
		t.Errorf("maps: %v, truncated %q", maps.rows["maps"], maps.truncated)
	}
	out := gather(t, Processes(), h)
	r := rowsOf[row.Process](out, "processes")[0]
	if r.Args != nil || !strings.HasPrefix(r.Command, "a a ") || r.Env != nil || r.WorkingDir != "" || len(out.truncated) != 3 {
		t.Errorf("process %+v, truncated %q", r, out.truncated)
	}
}
