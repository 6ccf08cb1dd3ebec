package quickstart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"swab/internal/command"
	"swab/internal/server"
)

// agent is the agent's process.
type agent struct {
	process *os.Process
	ended   chan struct{}
	state   error // how it ended; set before ended is closed
	stopped chan struct{}
	log     *os.File
}

// startAgent starts this binary as an agent of the server. Should it end by
// itself, fail is told, with the last that it said.
func startAgent(fail context.CancelCauseFunc, env command.Env, dir string, b server.Bootstrap) (*agent, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, failure("agent", err, "run swab by its full path")
	}
	log, err := openLog(dir, "agent.log")
	if err != nil {
		return nil, failure("agent's log", err, "give --data DIR, one that you may write to")
	}
	size, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	// The agent writes nothing but its state; its log is ours. It ends when it
	// is told to, not with ctx: it has its own way of stopping.
	cmd := exec.Command(binary, "agent", "run", //nolint:noctx // see above
		"--server", b.APIBase, "--ca", b.CAFile, "--state", filepath.Join(dir, "agent"))
	cmd.Args[0] = "swab"
	cmd.Env = environment(env.Getenv, "SWAB_TOKEN="+b.EnrollmentToken) // not a flag, which every user can read
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(failure("agent", err, "this binary must be executable: "+binary), log.Close())
	}
	a := &agent{process: cmd.Process, ended: make(chan struct{}), stopped: make(chan struct{}), log: log}
	go func() {
		a.state = cmd.Wait()
		close(a.ended)
		select {
		case <-a.stopped:
		default:
			said := lastLine(log.Name(), size)
			fail(failure("agent ended", fmt.Errorf("%v: %s", cmd.ProcessState, said), "all that it said is in "+log.Name()))
		}
	}()
	return a, nil
}

// close asks the agent to stop and waits for it.
func (a *agent) close() error {
	close(a.stopped)
	if runtime.GOOS == "windows" || a.process.Signal(syscall.SIGTERM) != nil {
		_ = a.process.Kill() // it has ended, or knows no signals
	}
	late := time.AfterFunc(stopTime, func() { _ = a.process.Kill() })
	<-a.ended
	if !late.Stop() {
		return errors.Join(fmt.Errorf("the agent did not stop within %s and was killed", stopTime), a.log.Close())
	}
	return a.log.Close()
}

// environment is what a child needs to be a process like any other, and no
// setting of ours beside those given.
func environment(getenv func(string) string, more ...string) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TZ", "LANG", "TMPDIR", "SystemRoot", "TEMP"} {
		if v := getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return append(env, more...)
}

// lastLine is the last line that a log got after offset from, at most 1 KiB of it.
func lastLine(name string, from int64) string {
	f, err := os.Open(name)
	if err != nil {
		return "it said nothing"
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return "it said nothing"
	}
	from = max(from, end-1024)
	data, err := io.ReadAll(io.NewSectionReader(f, from, end-from))
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	if err != nil || len(lines[len(lines)-1]) == 0 {
		return "it said nothing"
	}
	return string(lines[len(lines)-1])
}
