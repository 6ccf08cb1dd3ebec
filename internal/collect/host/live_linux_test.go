package host_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"swab/internal/collect/host"
)

func TestOnlyRegularFilesAreOpened(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s)
	if err := unix.Bind(s, &unix.SockaddrUnix{Name: filepath.Join(dir, "socket")}); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", filepath.Join(dir, "endless")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	h := live(t)
	for _, name := range []string{"fifo", "socket", "endless", "."} {
		full := filepath.Join(dir, name)
		if _, err := h.Root.Open(full); !errors.Is(err, host.ErrNotRegular) {
			t.Errorf("Open(%s): %v", name, err)
		}
		if _, err := h.Root.ReadFile(full, 10); !errors.Is(err, host.ErrNotRegular) {
			t.Errorf("ReadFile(%s): %v", name, err)
		}
	}
	if _, err := h.Root.ReadFile(filepath.Join(dir, "loop"), 10); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a loop of links: %v", err)
	}
}

func TestReadingLeavesAccessTimesAlone(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	past := time.Unix(1_000_000, 0)
	if err := os.Chtimes(name, past, time.Unix(2_000_000, 0)); err != nil { // relatime would set it
		t.Fatal(err)
	}
	f, err := live(t).Root.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.ReadAll(f); err != nil {
		t.Fatal(err)
	}
	after, err := f.Restat()
	if err != nil || !after.ATime.Equal(past) || f.ATimeTouched() {
		t.Errorf("access time %v (%v), touched %v", after.ATime, err, f.ATimeTouched())
	}
	if s := f.Stat(); s.Size != 1 || s.BTime.IsZero() || s.Kind() != host.Regular {
		t.Errorf("stat = %+v", s)
	}
}

func TestAProcessThatEndedIsGoneThroughItsHandle(t *testing.T) {
	h := live(t)
	cmd := exec.Command("/bin/cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dir, err := h.Proc.Sub(strconv.Itoa(cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if _, err := dir.ReadFile("stat", 4096); err != nil {
		t.Error(err)
	}
	in.Close()
	cmd.Wait()
	if _, err := dir.ReadFile("stat", 4096); !host.Gone(err) {
		t.Errorf("reading a process that ended: %v", err)
	}
}

func TestLiveHostKnowsItself(t *testing.T) {
	h := live(t)
	want, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	if h.Boot.ID != strings.TrimSpace(string(want)) || h.Boot.Since <= 0 {
		t.Errorf("boot = %+v, want id %s", h.Boot, want)
	}
	if h.View["procfs"] == "" || h.Self.PID != os.Getpid() {
		t.Errorf("view = %v, self = %+v", h.View, h.Self)
	}
	if _, err := h.NTPSynchronised(); err != nil {
		t.Error(err)
	}
	n, err := h.Renew()
	if err != nil || n.MaskKey == h.MaskKey || n.MaskKey == [32]byte{} {
		t.Errorf("a new package has the key of the last: %v", err)
	}
	n.Saw("x", "y")
	if h.Seen()["x"] != "" {
		t.Error("what a package saw is told of the next")
	}
}

// A file on a mount whose server never answers is refused by the kernel's own
// tables: no thread waits for it, not even to learn what mount it is.
func TestAFileOfASilentServerIsNotAskedFor(t *testing.T) {
	target := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fuse, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	options := "fd=" + strconv.Itoa(fuse) + ",rootmode=100000,user_id=0,group_id=0"
	if err == nil {
		err = unix.Mount("never", target, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options)
	}
	if os.Geteuid() != 0 {
		if err == nil {
			t.Error("a user who is not root may mount")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(unix.Unmount(target, unix.MNT_DETACH), unix.Close(fuse)); err != nil {
			t.Error(err)
		}
	}()
	held, err := unix.Open(target, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(held)
	h := live(t)
	begun := time.Now()
	f, err := h.Proc.OpenLink("self/fd/" + strconv.Itoa(held))
	if err == nil {
		f.Close()
	}
	if !errors.Is(err, host.ErrRemote) || h.Patience.Blocked() != 0 {
		t.Errorf("OpenLink: %v after %v, %d blocked; want ErrRemote at once", err, time.Since(begun), h.Patience.Blocked())
	}
}

func TestAMountThatNeverAnswersIsLeftBehind(t *testing.T) {
	dir := t.TempDir()
	if os.Geteuid() != 0 {
		// Who may not mount can't lay this trap, and what lies there answers.
		if err := unix.Mount("never", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, ""); !errors.Is(err, unix.EPERM) {
			t.Errorf("mount by uid %d: %v", os.Geteuid(), err)
		}
		h := live(t)
		if _, err := h.Root.Open(filepath.Join(dir, "x")); !errors.Is(err, unix.ENOENT) || h.Patience.Blocked() != 0 {
			t.Errorf("Open: %v, %d blocked", err, h.Patience.Blocked())
		}
		return
	}
	fuse, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	// Nobody ever reads what the kernel asks of this file system.
	options := "fd=" + strconv.Itoa(fuse) + ",rootmode=40000,user_id=0,group_id=0"
	if err := unix.Mount("never", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		unix.Close(fuse)
		t.Fatal(err)
	}
	h := live(t)
	_, err = h.Root.Open(filepath.Join(dir, "x"))
	if !errors.Is(err, host.ErrAbandoned) || h.Patience.Blocked() != 1 {
		t.Errorf("Open: %v, %d blocked", err, h.Patience.Blocked())
	}
	if err := errors.Join(unix.Unmount(dir, unix.MNT_DETACH), unix.Close(fuse)); err != nil { // ends what waits
		t.Error(err)
	}
	for deadline := time.Now().Add(5 * time.Second); h.Patience.Blocked() > 0; {
		if time.Now().After(deadline) {
			t.Fatal("the read that was left behind never ended")
		}
		runtime.Gosched()
	}
}
