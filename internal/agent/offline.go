package agent

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"swab/internal/agent/state"
	"swab/internal/catalog"
	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/command"
	"swab/internal/device"
	"swab/internal/evidence"
)

// CollectSettings are the settings of `swab-agent collect`.
type CollectSettings struct {
	Output  string        `help:"File of the package, which must not exist; - for standard output." required:"" short:"o" placeholder:"FILE"`
	Profile string        `help:"Profile to collect." default:"triage" placeholder:"NAME"`
	State   string        `help:"Folder of the agent's state, to sign with the device's key. Default: a key made for this package." env:"SWAB_AGENT_STATE" placeholder:"DIR"`
	JSON    bool          `name:"json" help:"Print what came of it as JSON."`
	Bounds  BoundSettings `embed:""`
}

// Check judges the settings together.
func (s *CollectSettings) Check() error {
	return errors.Join(s.Bounds.check(), checkProfile(s.Profile))
}

// Help tells more.
func (s *CollectSettings) Help() string {
	return "The package is the same as one that a server asked for, but for the audit log and the receipt, which only a server has. " +
		"What came of it is printed on standard output, or on standard error where the package goes to standard output."
}

// Result is what came of a collection without a server.
type Result struct {
	Output   string                   `json:"output"`
	Bytes    int64                    `json:"bytes"`
	SHA256   string                   `json:"sha256"`
	Device   device.ID                `json:"device"`
	Profile  string                   `json:"profile"`
	Plan     catalog.Digest           `json:"plan"`
	Outcomes map[evidence.Outcome]int `json:"outcomes"` // items by what came of them
	NotWhole int                      `json:"notWhole"` // of those collected: some of it could not be read
	Millis   int64                    `json:"millis"`
}

// Run makes the package and checks it as it is written.
func (s *CollectSettings) Run(ctx context.Context, env command.Env) error {
	began := env.Now()
	id, path, err := s.identity()
	if err != nil {
		return err
	}
	h, err := host.Live(host.Options{Clock: env.Now, StateFile: path})
	if err != nil {
		return fmt.Errorf("look at this host: %w", err)
	}
	defer h.Close()
	s.Bounds.apply()
	out, tell := io.WriteCloser(nopCloser{env.Stdout}), env.Stderr
	if s.Output != "-" {
		tell = env.Stdout
		f, err := os.OpenFile(s.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("--output: %s exists; name another file", s.Output)
		}
		if err != nil {
			return fmt.Errorf("--output: %w", err)
		}
		out = f
	}
	plan, _ := catalog.Current().Plan(s.Profile, runtime.GOOS)
	report, err := makeOffline(ctx, h, plan, id, s.Bounds.bounds(), out)
	if err != nil {
		return fmt.Errorf("%s is incomplete, and readable up to where it ends: %w", s.Output, err)
	}
	r := Result{
		Output: s.Output, Bytes: report.Size, SHA256: report.SHA256, Device: id.Device(), Profile: s.Profile, Plan: plan.Digest(),
		Millis: env.Now().Sub(began).Milliseconds(),
	}
	r.count(report.Manifest.Ledger)
	return s.print(tell, r)
}

// count sums up a ledger.
func (r *Result) count(ledger []evidence.Line) {
	r.Outcomes = map[evidence.Outcome]int{}
	for _, line := range ledger {
		r.Outcomes[line.Outcome]++
		if line.Outcome == evidence.Collected && !line.Whole() {
			r.NotWhole++
		}
	}
}

// identity is who signs, and where its state lies.
func (s *CollectSettings) identity() (state.Identity, string, error) {
	if s.State != "" {
		id, err := state.ReadIdentity(s.State)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w; without --state the package is signed with a key made for it", err)
		}
		return id, state.PathIn(s.State), err
	}
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return state.Identity{}, "", fmt.Errorf("make a key: %w", err)
	}
	return state.Identity{Seed: key.Seed(), Enrolment: pub}, "", nil
}

// makeOffline makes a package, checks it while it is written, and closes out.
func makeOffline(ctx context.Context, h *host.Host, plan catalog.Plan, id state.Identity, b evidence.Bounds, out io.WriteCloser) (*evidence.Report, error) {
	facts := factsOf(h)()
	check := evidence.NewChecker(evidence.DefaultLimits())
	err := makerFor(h)(ctx, collect.Options{
		Plan: plan, Bounds: b, Key: id.Key(), Device: deviceFacts(facts, id),
		Agent: evidence.AgentFacts{Version: facts.AgentVersion, SHA256: facts.AgentSHA256},
	}, io.MultiWriter(out, check))
	if f, ok := out.(*os.File); ok && err == nil {
		err = f.Sync()
	}
	if closing := out.Close(); err == nil {
		err = closing
	}
	report := check.Close()
	if err != nil {
		return nil, err
	}
	if report.Class != evidence.Intact || report.Manifest == nil {
		return nil, fmt.Errorf("the package does not verify, which is a bug of this agent: %v", report.Flaws)
	}
	return report, nil
}

func (s *CollectSettings) print(w io.Writer, r Result) error {
	if s.JSON {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(r)
	}
	_, err := fmt.Fprintf(w, "%s: %d bytes in %s\nSHA-256 %s\ndevice  %s, profile %s\n",
		r.Output, r.Bytes, time.Duration(r.Millis)*time.Millisecond, r.SHA256, r.Device, r.Profile)
	for _, o := range []evidence.Outcome{
		evidence.Collected, evidence.Absent, evidence.Denied, evidence.Truncated, evidence.TimedOut, evidence.Changed, evidence.Skipped, evidence.Excluded,
	} {
		n := r.Outcomes[o]
		if n == 0 || err != nil {
			continue
		}
		not := ""
		if o == evidence.Collected && r.NotWhole > 0 {
			not = fmt.Sprintf(", %d of them not whole", r.NotWhole)
		}
		_, err = fmt.Fprintf(w, "%7d %s%s\n", n, o, not)
	}
	return err
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// VersionSettings are the settings of `swab-agent version`.
type VersionSettings struct {
	JSON bool `name:"json" help:"Print it as JSON."`
}

// Version is which agent this is.
type Version struct {
	Release  string                    `json:"release"`
	Revision string                    `json:"revision"` // of the source; "" where it is not known
	Go       string                    `json:"go"`
	System   string                    `json:"system"`
	Arch     string                    `json:"arch"`
	Catalog  catalog.Digest            `json:"catalog"`
	Profiles map[string]catalog.Digest `json:"profiles"`
}

// Run prints it.
func (s *VersionSettings) Run(_ context.Context, env command.Env) error {
	c := catalog.Current()
	v := Version{
		Release: c.Release, Go: runtime.Version(), System: runtime.GOOS, Arch: runtime.GOARCH, Catalog: c.Digest(),
		Profiles: map[string]catalog.Digest{},
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, set := range info.Settings {
			if set.Key == "vcs.revision" {
				v.Revision = set.Value
			}
		}
	}
	for _, name := range profiles() {
		plan, _ := c.Plan(name, runtime.GOOS)
		v.Profiles[name] = plan.Digest()
	}
	if s.JSON {
		return json.NewEncoder(env.Stdout).Encode(v)
	}
	_, err := fmt.Fprintf(env.Stdout, "swab-agent %s %s %s/%s %s\n", v.Release, v.Revision, v.System, v.Arch, v.Go)
	for _, name := range profiles() {
		if err == nil {
			_, err = fmt.Fprintf(env.Stdout, "%-10s %s\n", name, v.Profiles[name])
		}
	}
	return err
}
