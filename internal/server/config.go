package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"swab/internal/command"
	"swab/internal/origin"
)

// Command is `swab server`.
var Command = command.Command{
	Name: "server", Help: "Run the server",
	Run: func() command.Runner { return &Config{} },
}

// Config is a server's settings. With none at all but Data it runs.
type Config struct {
	Config                command.ConfigFile `help:"File of settings, YAML: the flags' names and their values." env:"SWAB_CONFIG" placeholder:"FILE"`
	Data                  string             `help:"Directory of the database, the packages and the server's files." env:"SWAB_DATA" required:"" placeholder:"DIR"`
	Database              command.Secret     `help:"Database: sqlite:PATH, or postgres://USER:PASSWORD@HOST:PORT/NAME. One with a password belongs into the variable or the file: others can read a command line. Default: the file swab.db in the data directory." env:"SWAB_DATABASE" argv:"allowed" placeholder:"URL"`
	Listen                string             `help:"Address of the API and the devices' connections." env:"SWAB_LISTEN" default:"127.0.0.1:8443" placeholder:"HOST:PORT"`
	URL                   []string           `name:"url" help:"Public base URL, https://HOST[:PORT]; may be repeated, the first one serves where a request names none of them. Default: https:// and the address of --listen." env:"SWAB_URL" placeholder:"URL"`
	Certificate           string             `help:"TLS certificate chain, PEM; read again when it changes. Default: one that the server's own authority signs, ca.pem in the data directory." env:"SWAB_CERTIFICATE" placeholder:"FILE"`
	CertificateKey        string             `help:"Private key of --certificate, PEM." env:"SWAB_CERTIFICATE_KEY" placeholder:"FILE"`
	MasterKey             command.Secret     `help:"Key that seals the server's other keys, base64 of 32 bytes. Default: the file master.key in the data directory." env:"SWAB_MASTER_KEY"`
	IssuerCA              string             `help:"Authorities by which the servers of other issuers (docs/issuers.md) are judged, beside the system's: PEM, read again at each use." env:"SWAB_ISSUER_CA" placeholder:"FILE"`
	MetricsListen         string             `help:"Address of the Prometheus metrics, plain HTTP; empty for none." env:"SWAB_METRICS_LISTEN" placeholder:"HOST:PORT"`
	Proxies               []string           `name:"proxy" help:"Network of proxies whose X-Forwarded-For is believed; may be repeated." env:"SWAB_PROXIES" placeholder:"CIDR"`
	Connections           int                `help:"Most connections at once. Default: three quarters of the files that the process may have open, at most 100000." env:"SWAB_CONNECTIONS" placeholder:"N"`
	ConnectionsPerAddress int                `help:"Most connections at once from one address (IPv6: from one /64 network) on which nobody has proved who they are; those from a --proxy network are not counted. Default: 4096, at most half of --connections." env:"SWAB_CONNECTIONS_PER_ADDRESS" placeholder:"N"`
	Limits                command.Table      `help:"Limits of calls of the API: on, or off for none at all. In the file also other figures of single APIs (docs/limits.md)." env:"SWAB_LIMITS" default:"on" placeholder:"on|off"`
	PasswordGrant         bool               `help:"Let applications sign people in by a password that they ask for themselves. Off unless a script needs it: such an application sees the password, and no one-time code is asked for (who has one can't sign in that way)." env:"SWAB_PASSWORD_GRANT"`
	PackageLimit          int64              `help:"Most bytes of one package." env:"SWAB_PACKAGE_LIMIT" default:"2147483648" placeholder:"BYTES"`
	DiskReserve           int64              `help:"Bytes that are to stay free on the disk of the packages: with less, collections are refused with 503. 0 for none." env:"SWAB_DISK_RESERVE" default:"1073741824" placeholder:"BYTES"`
	LinkLife              time.Duration      `help:"How long a package link holds." env:"SWAB_LINK_LIFE" default:"15m" placeholder:"DURATION"`
	PendingLife           time.Duration      `help:"How long a request waits for its device." env:"SWAB_PENDING_LIFE" default:"72h" placeholder:"DURATION"`
	LogFormat             string             `help:"Form of the log on standard error." env:"SWAB_LOG_FORMAT" enum:"text,json" default:"text"`
	LogLevel              string             `help:"Least level that is logged." env:"SWAB_LOG_LEVEL" enum:"debug,info,warn,error" default:"info"`
}

// Help is what is shown below the flags' summary.
func (*Config) Help() string {
	return "A connection past --connections or --connections-per-address is reset; the log sums those, and the metric swab_connections_refused_total counts them. " +
		"A connection counts for its address until a device or a token on it has proved itself, so thousands of devices behind one NAT fit into the default. " +
		"Behind a proxy that speaks HTTP, name its network with --proxy: its connections are bounded by --connections alone, and the proxy has to bound its own clients. " +
		"A proxy that passes TCP through makes one address of all clients, and must not be named with --proxy: " +
		"give it a --connections-per-address near --connections, and let it bound the connections of each client."
}

// Check judges the settings together.
func (c *Config) Check() error {
	var errs []error
	host, _, err := net.SplitHostPort(c.Listen)
	switch {
	case err != nil:
		errs = append(errs, fmt.Errorf("--listen %s: %w", c.Listen, err))
	case len(c.URL) == 0 && (host == "" || wildcard(host)):
		errs = append(errs, fmt.Errorf("--listen %s: an address of every interface needs --url, the name by which clients and devices reach the server", c.Listen))
	}
	if err == nil && errors.Join(errs...) == nil {
		_, err := c.origin()
		errs = append(errs, err)
	}
	if (c.Certificate == "") != (c.CertificateKey == "") {
		errs = append(errs, errors.New("--certificate and --certificate-key belong together: give both or neither"))
	}
	if _, _, err := c.limits(); err != nil {
		errs = append(errs, err)
	}
	if u := c.database(); !strings.HasPrefix(u, "sqlite:") && !strings.HasPrefix(u, "postgres://") && !strings.HasPrefix(u, "postgresql://") {
		errs = append(errs, errors.New("--database: want sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/NAME"))
	}
	if c.PackageLimit < 1<<20 {
		errs = append(errs, fmt.Errorf("--package-limit %d: at least 1048576 (1 MiB)", c.PackageLimit))
	}
	if c.DiskReserve < 0 {
		errs = append(errs, errors.New("--disk-reserve: not negative"))
	}
	if c.Connections < 0 || c.ConnectionsPerAddress < 0 {
		errs = append(errs, errors.New("--connections, --connections-per-address: not negative"))
	}
	if c.LinkLife < time.Second || c.PendingLife < time.Second {
		errs = append(errs, errors.New("--link-life, --pending-life: at least 1s"))
	}
	return errors.Join(errs...)
}

// database is the database's URL.
func (c *Config) database() string {
	if url := c.Database.Reveal(); url != "" {
		return url
	}
	return "sqlite:" + filepath.Join(c.Data, databaseFile)
}

func wildcard(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsUnspecified()
}

// origin is what the settings say of addresses: the base URLs, https all, and
// the proxies.
func (c *Config) origin() (*origin.Set, error) {
	urls := c.URL
	if len(urls) == 0 {
		urls = []string{"https://" + c.Listen}
	}
	for _, u := range urls {
		if !strings.HasPrefix(strings.ToLower(u), "https://") {
			return nil, fmt.Errorf("--url %s: want https://HOST or https://HOST:PORT; clients refuse to sign in at anything else", u)
		}
	}
	return origin.New(urls, c.Proxies)
}

// Run runs the server until ctx ends, then drains it.
func (c *Config) Run(ctx context.Context, env command.Env) error {
	level := slog.LevelInfo
	if err := level.UnmarshalText([]byte(strings.ToUpper(c.LogLevel))); err != nil {
		return err
	}
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(env.Stderr, options)
	if c.LogFormat == "json" {
		handler = slog.NewJSONHandler(env.Stderr, options)
	}
	s, err := New(ctx, *c, slog.New(handler), env.Now)
	if err != nil {
		return err
	}
	over, end := context.WithCancel(ctx)
	told := make(chan struct{})
	go func() {
		defer close(told)
		select {
		case <-s.Ready():
			fmt.Fprintf(env.Stdout, "swab server is ready at %s (data in %s)\n", s.URL(), c.Data)
		case <-over.Done():
		}
	}()
	err = s.Run(ctx)
	end()
	<-told
	return err
}
