package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"swab/internal/agent/state"
	"swab/internal/catalog"
	"swab/internal/collect/host"
	"swab/internal/command"
	"swab/internal/evidence"
)

// Command is `swab agent`, and its verbs are the commands of `swab-agent`.
var Command = command.Command{
	Name: "agent", Help: "Run the agent of this device, or collect without a server",
	Verbs: []command.Command{
		{Name: "run", Help: "Enrol this device if need be, then do what the server asks until interrupted", Run: func() command.Runner { return &RunSettings{} }},
		{Name: "collect", Help: "Make a package of this device without a server", Run: func() command.Runner { return &CollectSettings{} }},
		{Name: "version", Help: "Tell which agent this is and what it can collect", Run: func() command.Runner { return &VersionSettings{} }},
	},
}

// BoundSettings are the bounds of one package, and of the agent while it makes one.
type BoundSettings struct {
	Memory       int64         `help:"Most memory that the agent takes, in bytes." env:"SWAB_AGENT_MEMORY" default:"67108864" placeholder:"BYTES"`
	Processors   int           `help:"Most processors that the agent uses at once; 0 for all, but at most 4." env:"SWAB_AGENT_PROCESSORS" default:"0" placeholder:"N"`
	PackageBytes int64         `help:"Most bytes of one package." env:"SWAB_AGENT_PACKAGE_BYTES" default:"2147483648" placeholder:"BYTES"`
	Deadline     time.Duration `help:"Longest time that one collection may take, waiting for the server not counted." env:"SWAB_AGENT_DEADLINE" default:"1h" placeholder:"DURATION"`
}

const (
	leastMemory  = 48 << 20
	leastPackage = 1 << 20

	// unmanaged is what a process has in memory beyond what the Go runtime
	// counts: the program's own pages above all.
	unmanaged = 14 << 20
)

func (b BoundSettings) check() error {
	var errs []error
	if b.Memory < leastMemory {
		errs = append(errs, fmt.Errorf("--memory: %d is too little; want %d at least", b.Memory, leastMemory))
	}
	if b.PackageBytes < leastPackage {
		errs = append(errs, fmt.Errorf("--package-bytes: %d is too little; want %d at least", b.PackageBytes, leastPackage))
	}
	if b.Processors < 0 {
		errs = append(errs, fmt.Errorf("--processors: %d is less than none", b.Processors))
	}
	if b.Deadline < time.Second {
		errs = append(errs, fmt.Errorf("--deadline: %s is too short; want 1s at least", b.Deadline))
	}
	return errors.Join(errs...)
}

func (b BoundSettings) bounds() evidence.Bounds {
	return evidence.Bounds{MemoryBytes: b.Memory, PackageBytes: b.PackageBytes, DeadlineSeconds: int64(b.Deadline.Seconds())}
}

// apply binds the whole process.
func (b BoundSettings) apply() {
	debug.SetMemoryLimit(b.Memory - unmanaged)
	n := b.Processors
	if n == 0 {
		n = 4
	}
	runtime.GOMAXPROCS(min(n, runtime.NumCPU()))
}

// RunSettings are the settings of `swab-agent run`.
type RunSettings struct {
	Server    string             `help:"Base URL of the server." required:"" env:"SWAB_SERVER" placeholder:"URL"`
	CA        string             `name:"ca" help:"File of the certificates (PEM) that may vouch for the server. Default: those that this system trusts." env:"SWAB_CA" placeholder:"FILE"`
	Token     command.Secret     `help:"Enrolment token; needed once. Others can read a command line: prefer the variable, or a file." argv:"allowed" env:"SWAB_TOKEN" placeholder:"TOKEN"`
	TokenFile string             `help:"File that holds the enrolment token." env:"SWAB_TOKEN_FILE" placeholder:"FILE"`
	State     string             `help:"Folder of the agent's state; made if need be, and the agent's alone." required:"" env:"SWAB_AGENT_STATE" placeholder:"DIR"`
	Profile   []string           `help:"Profile that may be collected; may be repeated. Default: all of the catalogue." env:"SWAB_AGENT_PROFILE" placeholder:"NAME"`
	LogLevel  string             `help:"Least level of the log on standard error." env:"SWAB_LOG_LEVEL" enum:"debug,info,warn,error" default:"info"`
	Bounds    BoundSettings      `embed:""`
	Config    command.ConfigFile `help:"YAML file of these settings." env:"SWAB_AGENT_CONFIG" placeholder:"FILE"`
}

// Check judges the settings together.
func (s *RunSettings) Check() error {
	errs := []error{s.Bounds.check()}
	if _, err := parseBase(s.Server); err != nil {
		errs = append(errs, fmt.Errorf("--server: %w", err))
	}
	if s.Token.Reveal() != "" && s.TokenFile != "" {
		errs = append(errs, errors.New("--token and --token-file: give one of them"))
	}
	for _, p := range s.Profile {
		errs = append(errs, checkProfile(p))
	}
	return errors.Join(errs...)
}

// profiles are what can be asked of this system.
func profiles() []string {
	var names []string
	for _, p := range catalog.Current().Plans {
		if p.System == runtime.GOOS {
			names = append(names, p.Profile)
		}
	}
	return names
}

func checkProfile(name string) error {
	if slices.Contains(profiles(), name) {
		return nil
	}
	return fmt.Errorf("--profile: there is no %.60q for %s; there are %s", name, runtime.GOOS, strings.Join(profiles(), ", "))
}

// Run runs the agent until ctx ends.
func (s *RunSettings) Run(ctx context.Context, env command.Env) error {
	roots, err := readRoots(s.CA)
	if err != nil {
		return err
	}
	token, err := s.token()
	if err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	st, err := state.Open(s.State)
	if err != nil {
		return err
	}
	defer st.Close()
	h, err := host.Live(host.Options{Clock: env.Now, StateFile: st.Path()})
	if err != nil {
		return fmt.Errorf("look at this host: %w", err)
	}
	defer h.Close()
	s.Bounds.apply()
	a, err := New(Config{
		Server: s.Server, Roots: roots, Token: token, Bounds: s.Bounds.bounds(), Profiles: s.Profile,
		Make: makerFor(h), Facts: factsOf(h), Now: env.Now, Proxy: http.ProxyFromEnvironment,
		Log: slog.New(slog.NewTextHandler(env.Stderr, &slog.HandlerOptions{Level: level})),
	}, st)
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

// maxFile bounds a file of certificates or of a token.
const maxFile = 1 << 20

func readRoots(name string) (*x509.CertPool, error) {
	if name == "" {
		return nil, nil
	}
	b, err := readSmall(name)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("--ca: %s holds no certificate in PEM form", name)
	}
	return pool, nil
}

func (s *RunSettings) token() (string, error) {
	if s.TokenFile == "" {
		return strings.TrimSpace(s.Token.Reveal()), nil
	}
	b, err := readSmall(s.TokenFile)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func readSmall(name string) ([]byte, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxFile {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", name, maxFile)
	}
	return os.ReadFile(name)
}
