package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"

	"swab/internal/auth"
	"swab/internal/fault"
)

// CreateUser keeps a new person, in no user group yet, and what they prove
// themselves by. One whose id or user principal name is there already is
// fault.InvalidInput.
func (s *Store) CreateUser(ctx context.Context, p auth.Person, k auth.Credential) error {
	_, err := write(ctx, s, "create user "+p.ID, func(ctx context.Context, t *tx) (struct{}, error) {
		return struct{}{}, t.createUser(ctx, p, k)
	})
	return err
}

func (t *tx) createUser(ctx context.Context, p auth.Person, k auth.Credential) error {
	_, err := t.exec(ctx, "INSERT INTO users (tenant, id, principal, name, created, disabled) VALUES (?, ?, ?, ?, ?, ?)",
		p.Tenant, p.ID, p.Principal, p.Name, ticks(p.Created), p.Disabled)
	if t.dialect.duplicate(err) {
		return fault.InvalidInput.Errorf(err, "User %s exists already", p.Principal)
	}
	if err != nil {
		return err
	}
	return t.setCredential(ctx, p.Tenant, p.ID, k)
}

// Credential returns what a person proves themselves by: the zero value, by which
// nobody can sign in, where nothing was set.
func (s *Store) Credential(ctx context.Context, tenant, person string) (auth.Credential, error) {
	return read(ctx, s, "credential of user "+person, func(ctx context.Context, c *conn) (auth.Credential, error) {
		return credentialOf(ctx, c, tenant, person, "")
	})
}

// SetCredential keeps what a person proves themselves by, in place of what was
// there. A person who is not there is fault.NotFound.
func (s *Store) SetCredential(ctx context.Context, tenant, person string, k auth.Credential) error {
	_, err := write(ctx, s, "set the credential of user "+person, func(ctx context.Context, t *tx) (struct{}, error) {
		return struct{}{}, t.setCredential(ctx, tenant, person, k)
	})
	return err
}

const credentialColumns = "password, changed, must_change, totp, step, recovery"

// credentialDest are where the columns of a credential are scanned to.
func credentialDest(k *auth.Credential) []any {
	return []any{&k.Password, when{&k.Changed}, &k.MustChange, &k.TOTP, &k.Step, hashes{&k.Recovery}}
}

func credentialOf(ctx context.Context, c *conn, tenant, person, lock string) (auth.Credential, error) {
	k, err := one(ctx, c, func(r row) (k auth.Credential, err error) {
		err = r.Scan(credentialDest(&k)...)
		return k, err
	}, "SELECT "+credentialColumns+" FROM user_credentials WHERE tenant = ? AND person = ?"+lock, tenant, person)
	if errors.Is(err, sql.ErrNoRows) {
		return k, nil
	}
	return k, err
}

func (t *tx) setCredential(ctx context.Context, tenant, person string, k auth.Credential) error {
	recovery := make([][]byte, len(k.Recovery))
	for i := range k.Recovery {
		recovery[i] = k.Recovery[i][:]
	}
	// From users: who is not there gets none, on either store.
	set, err := t.exec(ctx, "INSERT INTO user_credentials (tenant, person, "+credentialColumns+") "+
		"SELECT tenant, id, ?, ?, ?, ?, ?, ? FROM users WHERE tenant = ? AND id = ? "+
		"ON CONFLICT (tenant, person) DO UPDATE SET password = excluded.password, changed = excluded.changed, must_change = excluded.must_change, "+
		"totp = excluded.totp, step = excluded.step, recovery = excluded.recovery",
		k.Password, ticksOrNull(k.Changed), k.MustChange, blob(k.TOTP), k.Step, text(recovery), tenant, person)
	if err == nil && set == 0 {
		return noUser(person, nil)
	}
	return err
}

// hashes scans a JSON list of SHA-256 hashes.
type hashes struct{ list *[][sha256.Size]byte }

func (h hashes) Scan(v any) error {
	var list [][]byte
	if err := (fromText{&list}).Scan(v); err != nil {
		return err
	}
	*h.list = nil
	for _, one := range list {
		if len(one) != sha256.Size {
			return fmt.Errorf("a hash has %d bytes in the database, not %d", len(one), sha256.Size)
		}
		*h.list = append(*h.list, [sha256.Size]byte(one))
	}
	return nil
}
