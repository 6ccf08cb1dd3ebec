// Package installation runs a real server and real agents as processes of their
// own, built from cmd, for tests and benchmarks that use only sockets and the
// public API.
package installation

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"swab/client"
)

// Programs are built executables.
type Programs struct{ Server, Agent string }

// Build builds the programs as they are released into dir.
func Build(ctx context.Context, dir string) (Programs, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "swab").Output()
	if err != nil {
		return Programs{}, fmt.Errorf("find the module: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir, "./cmd/swab", "./cmd/swab-agent")
	cmd.Dir = strings.TrimSpace(string(root))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return Programs{}, fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return Programs{Server: filepath.Join(dir, "swab"), Agent: filepath.Join(dir, "swab-agent")}, nil
}

// Installation is a server's data directory and address, and what runs on it.
type Installation struct {
	Programs Programs
	Dir      string // of everything
	Data     string // of the server
	Listen   string
	Server   *Process
	Agents   map[string]*Process
	Flags    []string // more flags of the server
	Database string   // its URL; "": the file in the data directory

	// Wrap is put around what carries the requests of clients; nil for nothing.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// New chooses a free port; nothing runs yet.
func New(p Programs, dir string) (*Installation, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return &Installation{
		Programs: p, Dir: dir, Data: filepath.Join(dir, "data"), Listen: l.Addr().String(), Agents: map[string]*Process{},
	}, nil
}

// StartServer starts the server and waits until it says that it is ready. Tests
// and measurements ask more often than callers may, so its limits of calls are
// off where Flags do not say otherwise.
func (i *Installation) StartServer(ctx context.Context) error {
	var env []string
	if i.Database != "" {
		env = []string{"SWAB_DATABASE=" + i.Database}
	}
	p, err := Start(filepath.Join(i.Dir, "server.log"), env, i.Programs.Server,
		append([]string{"server", "--data", i.Data, "--listen", i.Listen, "--log-format", "json", "--limits", "off"}, i.Flags...)...)
	if err != nil {
		return err
	}
	i.Server = p
	return p.Await(ctx, "swab server is ready")
}

// Credentials are those of the first start.
func (i *Installation) Credentials() (client.Credentials, error) {
	return client.ReadCredentials(filepath.Join(i.Data, "bootstrap.json"))
}

// Client returns a client of the bootstrap application.
func (i *Installation) Client() (*client.Client, error) {
	c, err := i.Credentials()
	if err != nil {
		return nil, err
	}
	config := c.Config()
	config.Wrap = i.Wrap
	return client.New(config)
}

// State is the state directory of an agent.
func (i *Installation) State(name string) string { return filepath.Join(i.Dir, "agent-"+name) }

// StartAgent starts an agent, under the tracer's command line if one is given,
// and does not wait for it.
func (i *Installation) StartAgent(name string, tracer ...string) error {
	cred, err := i.Credentials()
	if err != nil {
		return err
	}
	args := append(append([]string{}, tracer...), i.Programs.Agent, "run", "--server", cred.APIBase, "--ca", cred.CAFile, "--state", i.State(name))
	p, err := Start(filepath.Join(i.Dir, "agent-"+name+".log"), []string{"SWAB_TOKEN=" + cred.EnrollmentToken}, args[0], args[1:]...)
	if err != nil {
		return err
	}
	i.Agents[name] = p
	return nil
}

// Close ends everything that still runs.
func (i *Installation) Close() error {
	var errs []error
	for _, p := range i.Agents {
		errs = append(errs, p.Kill())
	}
	if i.Server != nil {
		errs = append(errs, i.Server.Kill())
	}
	return errors.Join(errs...)
}

// AwaitDevices waits until so many devices are enrolled and returns their ids,
// the newest first.
func (i *Installation) AwaitDevices(ctx context.Context, n int) ([]string, error) {
	c, err := i.Client()
	if err != nil {
		return nil, err
	}
	for {
		machines, err := c.Machines(ctx, client.Page{})
		if err != nil {
			return nil, err
		}
		if len(machines) >= n {
			var ids []string
			for _, m := range machines {
				ids = append(ids, m.ID)
			}
			return ids, nil
		}
		if err := pause(ctx); err != nil {
			return nil, fmt.Errorf("%d of %d devices enrolled: %w", len(machines), n, err)
		}
	}
}

// pause is the interval at which a state that nothing announces is asked for.
func pause(ctx context.Context) error {
	t := time.NewTimer(20 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Process is a running program whose output is read line by line and kept in a
// file.
type Process struct {
	PID   int
	cmd   *exec.Cmd
	log   *os.File
	mu    sync.Mutex
	lines []string
	grown chan struct{} // closed and made anew with each line, and at the end
	ended bool
	done  chan struct{}
	err   error
}

// Start runs a program with more environment.
func Start(logFile string, env []string, program string, args ...string) (*Process, error) {
	f, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &Process{log: f, grown: make(chan struct{}), done: make(chan struct{}), cmd: exec.Command(program, args...)}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = w, w
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	w.Close()
	p.PID = p.cmd.Process.Pid
	go p.read(r)
	return p, nil
}

func (p *Process) read(r io.ReadCloser) {
	defer close(p.done)
	defer p.log.Close()
	defer r.Close()
	lines := bufio.NewScanner(io.TeeReader(r, p.log))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.add(lines.Text(), false)
	}
	p.err = p.cmd.Wait()
	p.add("", true)
}

func (p *Process) add(line string, ended bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ended {
		p.ended = true
	} else {
		p.lines = append(p.lines, line)
	}
	close(p.grown)
	p.grown = make(chan struct{})
}

// Lines returns what the program has printed so far.
func (p *Process) Lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines...)
}

// Await waits for a line that holds text.
func (p *Process) Await(ctx context.Context, text string) error {
	for from := 0; ; {
		p.mu.Lock()
		lines, grown, ended := p.lines[from:], p.grown, p.ended
		p.mu.Unlock()
		for _, l := range lines {
			if strings.Contains(l, text) {
				return nil
			}
		}
		from += len(lines)
		if ended {
			return fmt.Errorf("%s ended and never said %q (%w); its last lines:\n%s", p.cmd.Path, text, p.err, p.tail())
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return fmt.Errorf("%s has not said %q: %w; its last lines:\n%s", p.cmd.Path, text, ctx.Err(), p.tail())
		}
	}
}

func (p *Process) tail() string {
	lines := p.Lines()
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// Kill ends the program as a crash would, and waits.
func (p *Process) Kill() error { return p.end(syscall.SIGKILL) }

// Stop asks the program to end, and returns what it ended with.
func (p *Process) Stop() error {
	if err := p.end(syscall.SIGTERM); err != nil {
		return err
	}
	return p.err
}

func (p *Process) end(sig syscall.Signal) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := syscall.Kill(-p.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	<-p.done
	return nil
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Download returns an action's package and receipt.
func Download(ctx context.Context, c *client.Client, action string) (zip, receipt []byte, err error) {
	var b bytes.Buffer
	p, err := c.Download(ctx, action, &b)
	return b.Bytes(), p.Receipt, err
}
