package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

var sqliteDialect = dialect{
	goose:       goose.DialectSQLite3,
	migrations:  "migrations/sqlite",
	duplicate:   sqliteDuplicate,
	unavailable: sqliteUnavailable,
}

func sqliteDuplicate(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code() == codes.SQLITE_CONSTRAINT_PRIMARYKEY || e.Code() == codes.SQLITE_CONSTRAINT_UNIQUE)
}

// sqliteUnavailable tells errors of the surroundings from those of the
// statement. A corrupt database is not among them: it does not pass.
func sqliteUnavailable(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch e.Code() & 0xff { // the rest says which of its kind it is
	case codes.SQLITE_FULL, codes.SQLITE_IOERR, codes.SQLITE_READONLY, codes.SQLITE_CANTOPEN,
		codes.SQLITE_NOMEM, codes.SQLITE_BUSY, codes.SQLITE_LOCKED, codes.SQLITE_PROTOCOL:
		return true
	}
	return false
}

func openSQLite(ctx context.Context, o Options, path string) (*Store, error) {
	if err := makeFile(path); err != nil {
		return nil, err
	}
	wdb, err := openPool(path, 1, false)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, wdb, sqliteDialect, o.Log); err != nil {
		return nil, errors.Join(err, wdb.Close())
	}
	// Kept for good: the pool's one connection, with its statements.
	wconn, err := wdb.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, wdb.Close())
	}
	readers := max(4, runtime.GOMAXPROCS(0))
	rdb, err := openPool(path, readers, true)
	if err != nil {
		return nil, errors.Join(err, wconn.Close(), wdb.Close())
	}
	writer := newBatches(newConn(wconn, sqliteDialect), o)
	s := &Store{
		now:     o.Now,
		dialect: sqliteDialect,
		writer:  writer,
		reader:  newConn(rdb, sqliteDialect),
		lists:   newLists(readers, o),
		// The file is one process's, and an entry has its leaf when it is committed.
		alone:     func(ctx context.Context, f func(context.Context) error) error { return f(ctx) },
		settled:   func(context.Context, string) error { return nil },
		unsettled: make(chan struct{}, 1),
	}
	s.stats = func() Stats {
		got, pool := writer.stats(), rdb.Stats()
		got.Pool = Pool{Used: pool.InUse, Open: pool.OpenConnections, Most: readers, Waits: pool.WaitCount, Waited: pool.WaitDuration}
		return got
	}
	s.close = sync.OnceValue(func() error {
		writer.close()
		return errors.Join(rdb.Close(), wconn.Close(), wdb.Close())
	})
	if _, err := all(ctx, s.reader, value[int], "SELECT 1 FROM tenants LIMIT 1"); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// openPool opens connections to the file. What they are set to:
//
//   - WAL, so that readers and the writer don't wait for each other;
//   - synchronous FULL, so that a commit is on the disk when it returns;
//   - a wait of 5 s for a lock, which only another process can hold;
//   - 16 MiB of page cache for the writer, 4 MiB for each reader;
//   - no temporary file, and a write-ahead log that shrinks again.
func openPool(path string, size int, readOnly bool) (*sql.DB, error) {
	q := url.Values{"_pragma": {
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)",
		"temp_store(MEMORY)", "journal_size_limit(67108864)", "cache_size(-16384)",
	}}
	if readOnly {
		q = url.Values{"mode": {"ro"}, "_pragma": {
			"busy_timeout(5000)", "query_only(ON)", "temp_store(MEMORY)", "cache_size(-4096)",
		}}
	}
	q.Set("_dqs", "0")       // a mistyped column is an error, not a string
	q.Set("_defensive", "1") // no statement can damage the file's structure
	// A path may hold what means something in a URI.
	name := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath(), RawQuery: q.Encode()}
	connector, err := sqlite.NewConnector(name.String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}

// makeFile makes the database's file where there is none: for its owner alone,
// since it holds sealed keys and what people wrote, and with its name flushed,
// since SQLite flushes only what is in it. SQLite gives its other files the
// same permissions.
func makeFile(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if runtime.GOOS == "windows" { // folders can't be flushed there
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("flush folder %s: %w", dir, err)
	}
	return nil
}
