package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// Bounds of waiting for PostgreSQL. What waits longer is Unavailable.
const (
	connectTime   = 5 * time.Second  // for a new connection
	acquireTime   = 5 * time.Second  // for a connection of the pool
	lockTime      = 5 * time.Second  // for a lock, in the server
	statementTime = 8 * time.Second  // for one statement, in the server
	callTime      = 10 * time.Second // for all statements of a call
	aloneTime     = time.Minute      // for another node that makes the schema or the first keys
)

// poolSize is how many connections a node has for its calls, where the URL does
// not say it (pool_max_conns). One more is the sequencer's.
const poolSize = 24

// The advisory locks of an installation. They hold within its database.
const (
	lockAlone     = 0x73776162_0001 // "swab", 1: at start, for what is made once
	lockSequencer = 0x73776162_0002 // "swab", 2: as long as a node numbers audit entries
)

var postgresDialect = dialect{
	goose:       goose.DialectPostgres,
	migrations:  "migrations/postgres",
	sideBySide:  true,
	orderedArms: true,
	clock:       "SELECT CAST(extract(epoch FROM clock_timestamp()) * 10000000 AS BIGINT)",
	duplicate:   postgresDuplicate,
	unavailable: postgresUnavailable,
}

// sqlState is PostgreSQL's code of an error (its manual, appendix A), or "".
func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

func postgresDuplicate(err error) bool { return sqlState(err) == "23505" }

// postgresUnavailable tells errors of the surroundings from those of the
// statement.
func postgresUnavailable(err error) bool {
	switch state := sqlState(err); {
	case state == "":
		_, network := errors.AsType[net.Error](err) // a time limit of a context is one, too
		_, connect := errors.AsType[*pgconn.ConnectError](err)
		return network || connect || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
			errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded) || pgconn.SafeToRetry(err)
	case state[:2] == "08", state[:2] == "53", state[:2] == "57", state[:2] == "58":
		return true // connection, resources, operator (also a statement's time limit), system
	default:
		// Serialization, deadlock, a read-only standby, a lock's and a transaction's time limit.
		return state == "40001" || state == "40P01" || state == "25006" || state == "55P03" || state == "25P03"
	}
}

// openPostgres opens the database of a URL. No error of it holds the URL, since
// there may be a password in it.
func openPostgres(ctx context.Context, o Options, url string) (*Store, error) {
	config, err := poolConfig(url)
	if err != nil {
		return nil, err
	}
	if err := alone(ctx, config.ConnConfig, func(ctx context.Context) error {
		return migratePostgres(ctx, config.ConnConfig, o.Log)
	}); err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	s := &Store{now: o.Now, dialect: postgresDialect, reader: &conn{runner: newPostgresRunner(pool), dialect: postgresDialect}, unsettled: make(chan struct{}, 1), sequenced: true}
	s.lists = newLists(int(config.MaxConns), o)
	s.alone = func(ctx context.Context, f func(context.Context) error) error {
		return alone(ctx, config.ConnConfig, f)
	}
	writer, sequencer := newTransactions(pool, o), newSequencer(pool, config.ConnConfig, o)
	writer.recorded, s.settled = sequencer.look, sequencer.settled
	s.writer, s.stats = writer, writer.stats
	s.close = sync.OnceValue(func() error {
		writer.close()
		sequencer.close()
		pool.Close()
		return nil
	})
	return s, nil
}

// poolConfig is what a URL says, with what the store relies on: that a commit
// is on the disk when it returns, and that nothing waits for ever.
func poolConfig(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, unreadable(err)
	}
	if !strings.Contains(url, "pool_max_conns") {
		config.MaxConns = poolSize
	}
	config.PingTimeout = connectTime
	c := config.ConnConfig
	if c.ConnectTimeout == 0 || c.ConnectTimeout > connectTime {
		c.ConnectTimeout = connectTime
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "swab"
	}
	c.RuntimeParams["synchronous_commit"] = "on"
	c.RuntimeParams["default_transaction_isolation"] = "read committed"
	c.RuntimeParams["jit"] = "off" // to compile a list takes longer than to make it
	c.RuntimeParams["lock_timeout"] = milliseconds(lockTime)
	c.RuntimeParams["statement_timeout"] = milliseconds(statementTime)
	c.RuntimeParams["idle_in_transaction_session_timeout"] = milliseconds(callTime)
	return config, nil
}

// unreadable is why a URL can't be read, without the URL.
func unreadable(err error) error {
	const hint = "the database's URL can't be read; write postgres://USER:PASSWORD@HOST:PORT/NAME, special characters of the password percent-encoded"
	if file, ok := errors.AsType[*os.PathError](err); ok { // a certificate that it names
		return fmt.Errorf("%s: %w", hint, file)
	}
	return errors.New(hint)
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// alone runs f while no other node of the installation runs one. Its lock is a
// session's: it ends with the process, however that ends.
func alone(ctx context.Context, config *pgx.ConnConfig, f func(context.Context) error) (err error) {
	c, err := pgx.ConnectConfig(ctx, patient(config))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bye(ctx, c)) }()
	wait, cancel := context.WithTimeout(ctx, aloneTime)
	defer cancel()
	if _, err := c.Exec(wait, "SELECT pg_advisory_lock($1)", int64(lockAlone)); err != nil {
		return fmt.Errorf("wait until no other node starts: %w", err)
	}
	return f(ctx)
}

// patient is config without the time limits of calls, for what may take long.
func patient(config *pgx.ConnConfig) *pgx.ConnConfig {
	c := config.Copy()
	for _, name := range []string{"lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"} {
		c.RuntimeParams[name] = "0"
	}
	return c
}

// bye closes a connection in good order, as far as that takes no time.
func bye(ctx context.Context, c *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return c.Close(ctx)
}

func migratePostgres(ctx context.Context, config *pgx.ConnConfig, log *slog.Logger) error {
	db := stdlib.OpenDB(*patient(config))
	err := fit(ctx, db)
	if err == nil {
		err = migrate(ctx, db, postgresDialect, log)
	}
	return errors.Join(err, db.Close())
}

// oldest is the oldest release of PostgreSQL that has all that is used here: it
// ends the session of a node that is silent.
const oldest = 14

// fit says why a database can't be used.
func fit(ctx context.Context, db *sql.DB) error {
	var (
		release  int
		encoding string
	)
	err := db.QueryRowContext(ctx, "SELECT current_setting('server_version_num')::int / 10000, current_setting('server_encoding')").Scan(&release, &encoding)
	switch {
	case err != nil:
		return fmt.Errorf("ask for the server's release: %w", err)
	case release < oldest:
		return fmt.Errorf("its server is PostgreSQL %d; want %d or later", release, oldest)
	case encoding != "UTF8":
		return fmt.Errorf("its encoding is %s; make it anew with ENCODING 'UTF8' TEMPLATE template0", encoding)
	}
	return nil
}

// postgresRunner is the runner of pgx, which prepares a query the first time
// that a connection sees it.
type postgresRunner struct {
	db interface {
		Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
		Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
	}
	words *sync.Map // queries in numbered words, by query
}

func newPostgresRunner(pool *pgxpool.Pool) *postgresRunner {
	return &postgresRunner{db: pool, words: new(sync.Map)}
}

func (p *postgresRunner) text(query string) string {
	if text, ok := p.words.Load(query); ok {
		return text.(string)
	}
	text := numbered(query)
	p.words.Store(query, text)
	return text
}

func (p *postgresRunner) run(ctx context.Context, query string, args []any) (int64, error) {
	tag, err := p.db.Exec(ctx, p.text(query), markedArgs(args)...)
	return tag.RowsAffected(), err
}

func (p *postgresRunner) ask(ctx context.Context, query string, args []any) (rows, error) {
	r, err := p.db.Query(ctx, p.text(query), markedArgs(args)...)
	if err != nil {
		return nil, err
	}
	return postgresRows{r}, nil
}

func (p *postgresRunner) once(ctx context.Context, query string, args []any) (rows, error) {
	r, err := p.db.Query(ctx, numbered(query), append([]any{pgx.QueryExecModeExec}, markedArgs(args)...)...)
	if err != nil {
		return nil, err
	}
	return postgresRows{r}, nil
}

// postgresRows are rows whose texts come back as they were.
type postgresRows struct{ pgx.Rows }

func (r postgresRows) Scan(dest ...any) error { return scanUnmarked(r.Rows, dest) }

func (r postgresRows) Close() error {
	r.Rows.Close()
	return r.Err()
}
