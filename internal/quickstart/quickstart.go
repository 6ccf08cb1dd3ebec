// Package quickstart is the whole road on one machine, for the first five
// minutes: a server in this process, a real agent as a second process of the
// same binary, one collection through the public HTTP API, and a package with
// its receipt, judged.
//
// Nothing is taken short. The agent enrols over TLS with a token, the request
// goes through the token endpoint and the API, the package comes by its link.
// What is left behind is an ordinary data directory, which a second run, or
// swab server --data, goes on with.
package quickstart

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"swab/client"
	"swab/internal/cli"
	"swab/internal/command"
)

// Command is `swab quickstart`.
var Command = command.Command{
	Name: "quickstart", Help: "Try everything on this machine: server, agent, one package, judged",
	Run: func() command.Runner { return &Settings{} },
}

// Settings of the quickstart.
type Settings struct {
	Data   string `help:"Directory of the server, the agent and the packages. A second run goes on with it." default:"swab-data" placeholder:"DIR"`
	Listen string `help:"Address of the server. Default: a free port of 127.0.0.1, the same one again in later runs." placeholder:"HOST:PORT"`
	Once   bool   `help:"Exit when the package is there, instead of staying up."`
}

// Help says what stays behind.
func (*Settings) Help() string {
	return "Packages lie in DIR/packages; the logs of server and agent in DIR/server.log and DIR/agent.log. " +
		"Without the rights of root it collects what it may, and says what it could not."
}

// Bounds of the single steps.
const (
	startTime  = 60 * time.Second // the server, and the agent's enrolment
	actionTime = 10 * time.Minute
	stopTime   = 10 * time.Second // the agent, after it was asked to stop
)

// failure is a step that failed: which, why, and what to do.
func failure(step string, err error, advice string) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%s: %w; %s", step, err, advice)
}

// Run goes the road.
func (s *Settings) Run(ctx context.Context, env command.Env) (err error) {
	dir, err := filepath.Abs(s.Data)
	if err != nil {
		return failure("data directory", err, "give --data DIR")
	}
	if err := os.MkdirAll(filepath.Join(dir, "packages"), 0o700); err != nil {
		return failure("data directory", err, "give --data DIR, one that you may write to")
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	road := &road{env: env, dir: dir, out: env.Stdout}

	site, err := startServer(ctx, stop, env, dir, s.Listen)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.close()) }()
	road.took("server started", site.took)
	road.say("server", site.server.Bootstrap().APIBase)

	road.agentStart = env.Now()
	agent, err := startAgent(stop, env, dir, site.server.Bootstrap())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, agent.close()) }() // before the server, which it would miss

	if err := road.walk(ctx, site); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause // the server or the agent ended, which is why
		}
		return err
	}
	if s.Once {
		return nil
	}
	fmt.Fprintf(env.Stdout, "\nThe server stays up. Ctrl-C ends it; the data stay in %s.\n", dir)
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// walk asks for a package and fetches it, by the public API alone.
func (r *road) walk(ctx context.Context, site *site) error {
	cred, err := client.ReadCredentials(filepath.Join(r.dir, "bootstrap.json"))
	if err != nil {
		return failure("credentials", err, "the file is written at the first start; where it was put away, begin with another --data")
	}
	config := cred.Config()
	config.UserAgent, config.Now = "swab-quickstart", r.env.Now
	c, err := client.New(config)
	if err != nil {
		return failure("credentials", err, "begin with another --data")
	}
	defer c.Close()

	device, err := r.device(ctx, c, r.agentStart)
	if err != nil {
		return failure("enrolment", err, "what the agent says is in "+filepath.Join(r.dir, "agent.log"))
	}
	r.took("agent connected", r.env.Now().Sub(r.agentStart))
	r.say("device", device.Name+"  "+device.ID)

	asked := r.env.Now()
	action, err := c.Collect(ctx, device.ID, client.CollectRequest{Comment: "swab quickstart"})
	ours := err == nil
	if e, ok := errors.AsType[*client.Error](err); ok && e.Code == client.CodeActive && e.Running != "" {
		r.say("action", "an earlier run's "+e.Running+" has not ended; waiting for it")
		action, err = c.Action(ctx, e.Running)
	}
	if err != nil {
		return failure("collect", err, "what the server says is in "+filepath.Join(r.dir, "server.log"))
	}
	answered := r.env.Now()
	r.took("request answered", answered.Sub(asked))
	r.say("action", action.ID)

	ended, err := r.follow(ctx, c, site, action)
	if err != nil {
		return failure("collection", err, "see "+filepath.Join(r.dir, "agent.log")+" and "+filepath.Join(r.dir, "server.log"))
	}
	// Of an earlier run's action there is nothing to measure.
	if p := r.progress; ours && !p.Begun.IsZero() {
		// The agent may begin before we have read the answer to its end.
		r.took("answered to begun by the agent", max(0, p.Begun.Sub(answered)))
		if taken := time.Duration(p.TakenMs) * time.Millisecond; taken > 0 {
			r.took("answered to stage 0 in memory", max(0, p.Begun.Add(taken).Sub(answered)))
		}
	}
	if ours {
		r.took("answered to succeeded", r.env.Now().Sub(answered))
	}

	file := filepath.Join(r.dir, "packages", ended.ID+".zip")
	fetched, err := cli.Fetch(ctx, c, cred, ended, file, r.env.Now)
	if err != nil {
		return failure("download", err, "ask again: swab download "+ended.ID+" --output FILE --credentials "+filepath.Join(r.dir, "bootstrap.json"))
	}
	r.took("package downloaded", fetched.Downloaded)
	r.took("package judged", fetched.Judged)
	if err := r.report(fetched, cred, device); err != nil {
		return err
	}
	return fetched.Exit()
}
