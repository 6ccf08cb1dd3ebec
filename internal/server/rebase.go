package server

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/command"
	"swab/internal/keys"
	"swab/internal/store"
	"swab/internal/vault"
)

// AuditCommand is `swab audit rebase`, the one command of the audit log that works
// on the server's own files.
var AuditCommand = command.Command{
	Name: "audit", Help: "The audit log",
	Verbs: []command.Command{{Name: "rebase", Help: "Have devices go on with audit logs that were restored from a backup", Run: func() command.Runner { return &rebase{} }}},
}

// place is where an installation's database is, as a command that is no server is told.
type place struct {
	Data     string         `help:"The server's data directory." env:"SWAB_DATA" required:"" placeholder:"DIR"`
	Database command.Secret `help:"Database, as for swab server." env:"SWAB_DATABASE" argv:"allowed" placeholder:"URL"`
}

func (p place) database() string { return (&Config{Data: p.Data, Database: p.Database}).database() }

// rebase is the settings of `swab audit rebase`.
type rebase struct {
	place
	Key string `help:"File of the recovery key, which the first start wrote." required:"" placeholder:"FILE"`
}

// Help is what is shown below the flags' summary.
func (*rebase) Help() string {
	return "A device that has seen more of the audit log than a backup holds refuses what the restored server asks for. " +
		"The recovery key, which lies with the operator and not on the server, lets it go on with the restored log, from its last entry on: " +
		"run this on the server's machine after the backup was restored and before the server is started, for all tenants at once. " +
		"The rebase is an entry of each log. With PostgreSQL, stop all nodes first."
}

// Run rebases the logs of all tenants.
func (r *rebase) Run(ctx context.Context, env command.Env) error {
	key, err := readRecoveryKey(r.Key)
	if err != nil {
		return err
	}
	lock, err := lockDir(r.Data)
	if err != nil {
		return fmt.Errorf("%w; stop it, restore the backup, and run this before it is started again", err)
	}
	defer lock.Close()
	return rebaseIn(ctx, env, r.database(), r.Data, key)
}

func rebaseIn(ctx context.Context, env command.Env, database, data string, key ed25519.PrivateKey) error {
	st, err := store.Open(ctx, store.Options{Database: database, Now: env.Now})
	if err != nil {
		return err
	}
	err = rebaseAll(ctx, env, st, key)
	if err == nil {
		err = lookForMissing(ctx, env, st, data)
	}
	return errors.Join(err, st.Close())
}

// lookForMissing says which packages the data directory lacks, and notes as deleted
// what was under way when the backup was made and is not in it.
func lookForMissing(ctx context.Context, env command.Env, st *store.Store, data string) error {
	cut, packages := 0, 0
	err := eachKept(ctx, st, func(u vault.Upload) error {
		missing, err := vault.Missing(u, data)
		switch {
		case err != nil || !missing:
			return err
		case u.State == vault.Receiving || u.State == vault.Complete:
			cut++
			return gone(ctx, st, u.ID)
		}
		packages++
		fmt.Fprintf(env.Stderr, "missing: %s, of action %s\n", filepath.Join(data, filepath.FromSlash(vault.Name(u))), u.Action)
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for packages that are missing: %w", err)
	}
	if cut > 0 {
		fmt.Fprintf(env.Stdout, "%d uploads that were under way are not in the backup: their actions begin anew or fail\n", cut)
	}
	if packages > 0 {
		return fmt.Errorf("the logs are rebased, and %d packages are missing from %s: copy them there before the server is started", packages, data)
	}
	return nil
}

func rebaseAll(ctx context.Context, env command.Env, st *store.Store, key ed25519.PrivateKey) error {
	records, err := st.Keys(ctx)
	if err != nil {
		return fmt.Errorf("read the server's keys: %w", err)
	}
	public := func(p keys.Purpose) []byte {
		i := slices.IndexFunc(records, func(k keys.Record) bool { return k.Purpose == p && k.State(env.Now()) == keys.Signs })
		if i < 0 {
			return nil
		}
		return records[i].Public
	}
	if !key.Public().(ed25519.PublicKey).Equal(ed25519.PublicKey(public(keys.Recovery))) {
		return errors.New("the key is not this installation's recovery key: devices would refuse it")
	}
	tenants, err := st.Tenants(ctx)
	if err != nil {
		return fmt.Errorf("look for tenants: %w", err)
	}
	for _, t := range tenants {
		if err := rebaseOne(ctx, st, t.ID, public(keys.AuditLog), key, env.Now()); err != nil {
			return fmt.Errorf("rebase the audit log of tenant %s: %w", t.Name, err)
		}
		head, err := st.Head(ctx, t.ID)
		if err != nil {
			return err
		}
		fmt.Fprintf(env.Stdout, "Devices of tenant %s go on with the audit log as it is, of %d entries\n", command.Printable(t.Name), head.Size)
	}
	return nil
}

func rebaseOne(ctx context.Context, st *store.Store, tenant string, log []byte, key ed25519.PrivateKey, now time.Time) error {
	head, err := st.Head(ctx, tenant)
	if err != nil {
		return err
	}
	r := audit.Rebase{Tenant: tenant, LogKey: log, Head: head, Number: now.UnixMilli()}
	statement, err := r.Sign(key)
	if err != nil {
		return err
	}
	operator := auth.Caller{Kind: auth.Server, Tenant: tenant, ID: "server", Name: "recovery key"}
	return st.AddRebase(ctx, r, statement, audit.NewEntry(now, audit.Leaf{
		Act: audit.ActRebase, Object: tenant, Result: audit.Done, Detail: fmt.Sprint(r.Number),
	}, operator.Hidden("")))
}

// readRecoveryKey reads the file that keepRecoveryKey wrote. Its error never
// repeats what is in it.
func readRecoveryKey(name string) (ed25519.PrivateKey, error) {
	data, err := os.ReadFile(filepath.Clean(name))
	if err != nil {
		return nil, fmt.Errorf("recovery key: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if seed, err := base64.StdEncoding.Strict().DecodeString(line); err == nil && len(seed) == ed25519.SeedSize {
			return ed25519.NewKeyFromSeed(seed), nil
		}
		break
	}
	return nil, fmt.Errorf("recovery key: %s is no file of one; it is the recovery.key that the first start wrote", name)
}
