package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"swab/internal/canon"
	"swab/internal/catalog"
	"swab/internal/command"
	"swab/internal/keys"
	"swab/internal/store"
	"swab/internal/vault"
)

// Commands of an installation that keeps everything in its data directory.
var (
	BackupCommand  = command.Command{Name: "backup", Help: "Copy a server's database and packages, while it runs", Run: func() command.Runner { return &backup{} }}
	RestoreCommand = command.Command{Name: "restore", Help: "Make a data directory of a backup", Run: func() command.Runner { return &restore{} }}
)

// backupFile is written last: a backup without it, or with another database than
// it says, did not come to its end.
const (
	backupFile   = "backup.json"
	backupFormat = "swab-backup/1"
)

// backedUp is what backupFile says.
type backedUp struct {
	Format   string `json:"format"`
	Made     string `json:"made"` // canon.TimeFormat: when the database was copied
	Release  string `json:"release"`
	Database string `json:"database"` // SHA-256 of its file
	Uploads  int    `json:"uploads"`
}

// backup is the settings of `swab backup`.
type backup struct {
	Data string `help:"The server's data directory." env:"SWAB_DATA" required:"" placeholder:"DIR"`
	To   string `help:"Directory of the backup; made if it is missing. One with an older backup is brought up to date." required:"" placeholder:"DIR"`
}

// Help is what is shown below the flags' summary.
func (*backup) Help() string {
	return "The database is copied as it is at one moment, then every package that it knows: a package never changes, so a backup that is brought up to date copies only new ones. " +
		"The server may run, under load too. What the backup does not hold, and has to be kept apart from it: the master key (master.key or SWAB_MASTER_KEY), without which it is worth nothing, " +
		"the recovery key, and the secrets in bootstrap.json. " +
		"It is for the database in the data directory; for PostgreSQL see docs/backup.md."
}

// Run makes or updates the backup.
func (b *backup) Run(ctx context.Context, env command.Env) error {
	source := filepath.Join(b.Data, databaseFile)
	if _, err := os.Stat(source); err != nil {
		return fmt.Errorf("%w: is it the data directory of a server with its own database?", err)
	}
	if err := os.MkdirAll(b.To, 0o700); err != nil {
		return err
	}
	fresh := filepath.Join(b.To, databaseFile+".new")
	if err := removeDatabase(fresh); err != nil {
		return err
	}
	made := backedUp{Format: backupFormat, Made: canon.FormatTime(env.Now()), Release: catalog.Current().Release}
	if err := store.CopySQLite(ctx, source, fresh); err != nil {
		return err
	}
	kept, copied, err := copyUploads(ctx, fresh, b.Data, b.To)
	if err != nil {
		return err
	}
	if made.Database, err = hashOf(fresh); err != nil {
		return err
	}
	made.Uploads = len(kept)
	if err := os.Rename(fresh, filepath.Join(b.To, databaseFile)); err != nil {
		return err
	}
	text, err := json.MarshalIndent(made, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(b.To, backupFile), append(text, '\n'), 0o600); err != nil {
		return err
	}
	removed, err := vault.Prune(b.To, kept)
	if err != nil {
		return fmt.Errorf("remove from the backup what was deleted since: %w", err)
	}
	fmt.Fprintf(env.Stdout, "%s holds the database and %d packages and uploads: %d bytes of them copied now, %d deleted ones removed\n", b.To, len(kept), copied, removed)
	fmt.Fprintln(env.Stdout, "Keep the master key and the recovery key apart from it")
	return nil
}

// copyUploads copies what the database in a file knows of, and returns the names
// of the files and how many bytes were copied. What was deleted since the
// database was copied is noted in it as deleted.
func copyUploads(ctx context.Context, database, from, to string) (kept map[string]bool, copied int64, err error) {
	st, err := store.Open(ctx, store.Options{Database: "sqlite:" + database})
	if err != nil {
		return nil, 0, err
	}
	kept, copied, err = copyKept(ctx, st, from, to)
	if err := errors.Join(err, st.Close()); err != nil {
		return nil, 0, err
	}
	return kept, copied, store.FoldSQLite(ctx, database)
}

func copyKept(ctx context.Context, st *store.Store, from, to string) (kept map[string]bool, copied int64, err error) {
	kept = map[string]bool{}
	err = eachKept(ctx, st, func(u vault.Upload) error {
		n, err := vault.Copy(u, from, to)
		if errors.Is(err, vault.ErrGone) {
			return gone(ctx, st, u.ID)
		}
		if err == nil {
			kept[vault.Name(u)] = true
			copied += n
		}
		return err
	})
	return kept, copied, err
}

// eachKept hands every upload whose bytes are kept to f.
func eachKept(ctx context.Context, st *store.Store, f func(vault.Upload) error) error {
	for after := ""; ; {
		list, err := st.KeptUploads(ctx, after, 0)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, u := range list {
			if err := f(u); err != nil {
				return err
			}
		}
		after = list[len(list)-1].ID
	}
}

// gone notes in the database that an upload's bytes are deleted.
func gone(ctx context.Context, st *store.Store, id string) error {
	_, err := st.ChangeUpload(ctx, id, func(u vault.Upload) (vault.Upload, error) {
		u.State = vault.Deleted
		return u, nil
	})
	return err
}

// removeDatabase removes a database with the files that SQLite keeps beside it.
func removeDatabase(name string) error {
	for _, end := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(name + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func hashOf(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// restore is the settings of `swab restore`.
type restore struct {
	From      string `help:"Directory of the backup." required:"" placeholder:"DIR"`
	Data      string `help:"The data directory to make; it must be missing or empty, but for the master key." env:"SWAB_DATA" required:"" placeholder:"DIR"`
	MasterKey string `help:"File of the master key, to be put into the data directory. Without it, put it there, or set SWAB_MASTER_KEY, before the server is started." placeholder:"FILE"`
	Key       string `help:"File of the recovery key: devices go on with the restored audit log, as by swab audit rebase." placeholder:"FILE"`
}

// Help is what is shown below the flags' summary.
func (*restore) Help() string {
	return "Every package is checked against the hash under which it was sealed. A device that has seen more of the audit log than the backup holds refuses the restored server " +
		"until the recovery key says otherwise: give it by --key, or run swab audit rebase before the server is started."
}

// Run makes the data directory.
func (r *restore) Run(ctx context.Context, env command.Env) error {
	made, err := readBackup(r.From)
	if err != nil {
		return err
	}
	if err := vacant(r.Data); err != nil {
		return err
	}
	lock, err := lockDir(r.Data)
	if err != nil {
		return err
	}
	defer lock.Close()
	if r.MasterKey != "" {
		key, err := os.ReadFile(r.MasterKey)
		if err != nil {
			return fmt.Errorf("master key: %w", err)
		}
		if err := writeFile(filepath.Join(r.Data, keys.MasterFile), key, 0o600); err != nil {
			return err
		}
	}
	database, fresh := filepath.Join(r.Data, databaseFile), filepath.Join(r.Data, databaseFile+".new")
	if err := copyFile(filepath.Join(r.From, databaseFile), fresh); err != nil {
		return err
	}
	if got, err := hashOf(fresh); err != nil || got != made.Database {
		return errors.Join(err, fmt.Errorf("the database in %s is not the one that %s speaks of: the backup did not come to its end, or was changed; make it again, or take an older one", r.From, backupFile))
	}
	kept, copied, err := copyUploads(ctx, fresh, r.From, r.Data)
	if err != nil {
		return err
	}
	if len(kept) != made.Uploads {
		return fmt.Errorf("%d of the backup's %d packages and uploads are missing from %s", made.Uploads-len(kept), made.Uploads, r.From)
	}
	if err := os.Rename(fresh, database); err != nil {
		return err
	}
	if err := syncDir(r.Data); err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "%s holds the backup of %s: the database and %d packages and uploads, %d bytes, all as they were sealed\n", r.Data, made.Made, len(kept), copied)
	if r.Key == "" {
		fmt.Fprintf(env.Stdout, "Next: swab audit rebase --data %s --key FILE, with the recovery key; then start the server\n", r.Data)
		return nil
	}
	key, err := readRecoveryKey(r.Key)
	if err != nil {
		return err
	}
	return rebaseIn(ctx, env, "sqlite:"+database, r.Data, key)
}

func readBackup(dir string) (backedUp, error) {
	var b backedUp
	data, err := os.ReadFile(filepath.Join(dir, backupFile))
	if err != nil {
		return b, fmt.Errorf("%w: it is no backup, or one that did not come to its end", err)
	}
	if err := json.Unmarshal(data, &b); err != nil || b.Format != backupFormat {
		return b, fmt.Errorf("%s is of no backup that this release reads (%q)", filepath.Join(dir, backupFile), b.Format)
	}
	return b, nil
}

// vacant makes a directory, or refuses one that has something in it.
func vacant(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != keys.MasterFile && e.Name() != lockFile && !strings.HasPrefix(e.Name(), databaseFile+".new") {
			return fmt.Errorf("%s has %s in it: a backup is restored into an empty directory", dir, e.Name())
		}
	}
	return removeDatabase(filepath.Join(dir, databaseFile+".new"))
}

// copyFile copies a file for its owner alone, and has it on disk when it returns.
func copyFile(from, to string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	t, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(t, f)
	return errors.Join(err, t.Sync(), t.Close())
}
