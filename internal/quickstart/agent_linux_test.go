package quickstart_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// child is the process that this one has started as an agent.
func child(t *testing.T) int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		var pid, parent int
		var state string
		_, rest, _ := strings.Cut(string(b), ") ")
		fmt.Sscan(string(b), &pid)
		fmt.Sscan(rest, &state, &parent)
		if parent == os.Getpid() {
			return pid
		}
	}
	t.Fatal("no agent runs")
	return 0
}

func TestAnAgentThatDiesEndsTheQuickstartWithAReason(t *testing.T) {
	q := stayUp(t, filepath.Join(t.TempDir(), "data"))
	defer q.interrupt()
	if err := syscall.Kill(child(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	code, stderr := q.end()
	want := `^swab: agent ended: signal: killed: .*; all that it said is in .*agent\.log\n$`
	if code != 1 || !regexp.MustCompile(want).MatchString(stderr) {
		t.Errorf("code %d, %q, want %s", code, stderr, want)
	}
}
