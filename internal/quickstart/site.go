package quickstart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"swab/internal/command"
	"swab/internal/server"
)

// site is the server of this process.
type site struct {
	server *server.Server
	took   time.Duration // until it was ready
	stop   context.CancelFunc
	ended  chan error
	log    *os.File
}

// startServer starts the server and returns when it is ready. Should it end by
// itself later, fail is told.
func startServer(ctx context.Context, fail context.CancelCauseFunc, env command.Env, dir, listen string) (*site, error) {
	began := env.Now()
	if listen == "" {
		var err error
		if listen, err = address(dir); err != nil {
			return nil, failure("address", err, "give --listen HOST:PORT")
		}
	}
	log, err := openLog(dir, "server.log")
	if err != nil {
		return nil, failure("server's log", err, "give --data DIR, one that you may write to")
	}
	advice := "what the server says is in " + log.Name() + "; if another quickstart runs on these data, end it first or give --data DIR"
	settings, err := command.Read(server.Command, "--data", dir, "--listen", listen)
	if err != nil {
		return nil, errors.Join(failure("server's settings", err, "give --listen HOST:PORT, one address of this machine"), log.Close())
	}
	// The server ends after the agent, so it does not end by ctx.
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	config := *settings.(*server.Config)
	// Whoever tries the lines that are printed, one after another, asks for more
	// links than the two a minute that Defender allows.
	config.Limits = command.Table{Rows: map[string]command.Row{
		"getPackageUri": {Cells: map[string]string{"minute": "20", "hour": "1200"}},
	}}
	srv, err := server.New(run, config, slog.New(slog.NewTextHandler(log, nil)), env.Now)
	if err != nil {
		stop()
		return nil, errors.Join(failure("server", err, advice), log.Close())
	}
	s := &site{server: srv, stop: stop, ended: make(chan error, 1), log: log}
	go func() {
		err := srv.Run(run)
		if run.Err() == nil {
			fail(failure("server ended", orEnded(err), advice))
		}
		s.ended <- err
	}()
	ready, cancel := context.WithTimeoutCause(ctx, startTime, fmt.Errorf("not ready within %s", startTime))
	defer cancel()
	select {
	case <-srv.Ready():
		s.took = env.Now().Sub(began)
		return s, nil
	case <-ready.Done():
		err := context.Cause(ready)
		return nil, errors.Join(failure("server", err, advice), s.close())
	}
}

// orEnded is err, or says that there was none.
func orEnded(err error) error {
	if err == nil {
		return errors.New("it ended by itself")
	}
	return err
}

// close lets the server drain and waits for it.
func (s *site) close() error {
	s.stop()
	err := <-s.ended
	return errors.Join(err, s.log.Close())
}

func openLog(dir, name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// remembered is what later runs on the same data use again.
type remembered struct {
	Listen string `json:"listen"`
}

// address is the one that the data directory remembers, else a free port of the
// loopback interface, which it remembers from now on: the device that is
// enrolled keeps its server's address.
func address(dir string) (string, error) {
	name := filepath.Join(dir, "quickstart.json")
	var s remembered
	data, err := os.ReadFile(name)
	switch {
	case err == nil:
		if err := json.Unmarshal(data, &s); err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		if _, _, err := net.SplitHostPort(s.Listen); err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		return s.Listen, nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is at once
	if err != nil {
		return "", err
	}
	s.Listen = l.Addr().String()
	if data, err = json.Marshal(s); err != nil {
		return "", errors.Join(err, l.Close())
	}
	return s.Listen, errors.Join(l.Close(), os.WriteFile(name, append(data, '\n'), 0o600))
}
