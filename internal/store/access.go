package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
)

func noTenant(id string, cause error) error {
	return fault.NotFound.Errorf(cause, "Tenant %s was not found", id)
}

// CreateTenant makes a tenant and begins its audit log with e.
func (s *Store) CreateTenant(ctx context.Context, tenant auth.Tenant, e audit.Entry) error {
	_, err := write(ctx, s, "create tenant "+tenant.ID, func(ctx context.Context, t *tx) (struct{}, error) {
		return struct{}{}, t.createTenant(ctx, tenant, e)
	})
	return err
}

// Found makes an installation's first tenant with its first applications and
// enrolment token, and begins its audit log with the entries that say so: all of
// it or nothing.
func (s *Store) Found(ctx context.Context, tenant auth.Tenant, apps []auth.App, token auth.Enrollment, entries ...audit.Entry) error {
	_, err := write(ctx, s, "create the first tenant "+tenant.ID, func(ctx context.Context, t *tx) (struct{}, error) {
		return struct{}{}, t.found(ctx, tenant, apps, token, entries...)
	})
	return err
}

func (t *tx) found(ctx context.Context, tenant auth.Tenant, apps []auth.App, token auth.Enrollment, entries ...audit.Entry) error {
	if err := t.createTenant(ctx, tenant, entries...); err != nil {
		return err
	}
	for _, app := range apps {
		if err := t.createApp(ctx, app); err != nil {
			return err
		}
	}
	return t.createEnrollment(ctx, token)
}

func (t *tx) createTenant(ctx context.Context, tenant auth.Tenant, entries ...audit.Entry) error {
	if _, err := t.exec(ctx, "INSERT INTO tenants (id, name, created, revoked) VALUES (?, ?, ?, ?)",
		tenant.ID, tenant.Name, ticks(tenant.Created), tenant.Revoked); t.dialect.duplicate(err) {
		return fault.InvalidInput.Errorf(err, "Tenant %s exists already", tenant.Name)
	} else if err != nil {
		return err
	}
	if _, err := t.exec(ctx, "INSERT INTO audit_logs (tenant, size, root) VALUES (?, 0, ?)", tenant.ID, make([]byte, tlog.HashSize)); err != nil {
		return err
	}
	if _, err := t.exec(ctx, "INSERT INTO groupings (tenant, revision, generation, settled, rules, changed) VALUES (?, 0, 0, 0, '[]', '[]')", tenant.ID); err != nil {
		return err
	}
	for _, e := range entries {
		if _, _, err := t.record(ctx, tenant.ID, e); err != nil {
			return err
		}
	}
	return nil
}

// Tenants returns all tenants, the oldest first.
func (s *Store) Tenants(ctx context.Context) ([]auth.Tenant, error) {
	return read(ctx, s, "tenants", func(ctx context.Context, c *conn) ([]auth.Tenant, error) {
		return all(ctx, c, func(r row) (t auth.Tenant, err error) {
			err = r.Scan(&t.ID, &t.Name, when{&t.Created}, &t.Revoked)
			return t, err
		}, "SELECT id, name, created, revoked FROM tenants ORDER BY created, id")
	})
}

// CreateApp keeps a new application with its secrets and certificates. One whose
// id, or that of one of those, is there already is fault.InvalidInput.
func (s *Store) CreateApp(ctx context.Context, app auth.App) error {
	_, err := write(ctx, s, "create application "+app.ID, func(ctx context.Context, t *tx) (struct{}, error) {
		return struct{}{}, t.createApp(ctx, app)
	})
	return err
}

func (t *tx) createApp(ctx context.Context, app auth.App) error {
	_, err := t.exec(ctx, "INSERT INTO apps (tenant, id, name, roles, scopes, redirects, public, created, revoked) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		app.Tenant, app.ID, app.Name, texts(app.Roles), texts(app.Scopes), texts(app.Redirects), app.Public, ticks(app.Created), app.Revoked)
	if t.dialect.duplicate(err) {
		return fault.InvalidInput.Errorf(err, "Application %s exists already", app.ID)
	}
	if err != nil {
		return err
	}
	for _, secret := range app.Secrets {
		if err := t.addSecret(ctx, app.Tenant, app.ID, secret); err != nil {
			return err
		}
	}
	for _, c := range app.Certificates {
		if err := t.addCertificate(ctx, app.Tenant, app.ID, c); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) addSecret(ctx context.Context, tenant, app string, secret auth.Secret) error {
	_, err := t.exec(ctx, "INSERT INTO app_secrets (tenant, app, id, name, hash, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?)",
		tenant, app, secret.ID, secret.Name, secret.Hash[:], ticks(secret.Created), ticksOrNull(secret.Expires))
	if t.dialect.duplicate(err) {
		return fault.InvalidInput.Errorf(err, "Secret %s of application %s exists already", secret.ID, app)
	}
	if err != nil {
		return fmt.Errorf("secret %s: %w", secret.ID, err)
	}
	return nil
}

func (t *tx) addCertificate(ctx context.Context, tenant, app string, c auth.Certificate) error {
	_, err := t.exec(ctx, "INSERT INTO app_certificates (tenant, app, id, name, der, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?)",
		tenant, app, c.ID, c.Name, c.DER, ticks(c.Created), ticks(c.Expires))
	if t.dialect.duplicate(err) {
		return fault.InvalidInput.Errorf(err, "Certificate %s of application %s is registered already", c.ID, app)
	}
	if err != nil {
		return fmt.Errorf("certificate %s: %w", c.ID, err)
	}
	return nil
}

const selectApps = `SELECT a.tenant, a.id, a.name, a.roles, a.scopes, a.redirects, a.public, a.created, a.revoked OR t.revoked
	FROM apps a JOIN tenants t ON t.id = a.tenant WHERE a.tenant = ?`

func scanApp(r row) (a auth.App, err error) {
	err = r.Scan(&a.Tenant, &a.ID, &a.Name, fromText{&a.Roles}, fromText{&a.Scopes}, fromText{&a.Redirects}, &a.Public, when{&a.Created}, &a.Revoked)
	return a, err
}

// App returns an application with its secrets and certificates, or
// fault.NotFound. One of a revoked tenant is revoked.
func (s *Store) App(ctx context.Context, tenant, id string) (auth.App, error) {
	return read(ctx, s, "application "+id, func(ctx context.Context, c *conn) (auth.App, error) {
		return appOf(ctx, c, tenant, id)
	})
}

func appOf(ctx context.Context, c *conn, tenant, id string) (auth.App, error) {
	app, err := one(ctx, c, scanApp, selectApps+" AND a.id = ?", tenant, id)
	if errors.Is(err, sql.ErrNoRows) {
		return app, fault.NotFound.Errorf(err, "Application %s was not found", id)
	}
	if err != nil {
		return app, err
	}
	return withCredentials(ctx, c, app)
}

// withCredentials is app with its secrets and certificates.
func withCredentials(ctx context.Context, c *conn, app auth.App) (auth.App, error) {
	var err error
	app.Secrets, err = all(ctx, c, func(r row) (k auth.Secret, err error) {
		var hash []byte
		if err := r.Scan(&k.ID, &k.Name, &hash, when{&k.Created}, when{&k.Expires}); err != nil {
			return k, err
		}
		if copy(k.Hash[:], hash) != len(k.Hash) || len(hash) != len(k.Hash) {
			return k, fmt.Errorf("secret %s: its hash has %d bytes", k.ID, len(hash))
		}
		return k, nil
	}, "SELECT id, name, hash, created, expires FROM app_secrets WHERE tenant = ? AND app = ? ORDER BY id", app.Tenant, app.ID)
	if err != nil {
		return app, err
	}
	app.Certificates, err = all(ctx, c, func(r row) (k auth.Certificate, err error) {
		err = r.Scan(&k.ID, &k.Name, &k.DER, when{&k.Created}, when{&k.Expires})
		return k, err
	}, "SELECT id, name, der, created, expires FROM app_certificates WHERE tenant = ? AND app = ? ORDER BY id", app.Tenant, app.ID)
	return app, err
}
