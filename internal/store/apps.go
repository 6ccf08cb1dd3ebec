package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"swab/internal/access"
	"swab/internal/audit"
	"swab/internal/auth"
)

// AddApp keeps a new application as CreateApp does, and records e.
func (s *Store) AddApp(ctx context.Context, app auth.App, e audit.Entry) error {
	_, err := write(ctx, s, "create application "+app.ID, func(ctx context.Context, t *tx) (struct{}, error) {
		if err := t.createApp(ctx, app); err != nil {
			return struct{}{}, err
		}
		_, _, err := t.record(ctx, app.Tenant, e)
		return struct{}{}, err
	})
	return err
}

// Apps returns a tenant's applications with their secrets and certificates, the
// oldest first, also those that are revoked.
func (s *Store) Apps(ctx context.Context, tenant string) ([]auth.App, error) {
	return read(ctx, s, "applications of "+tenant, func(ctx context.Context, c *conn) ([]auth.App, error) {
		return appsOf(ctx, c, selectApps+" ORDER BY a.created, a.id", tenant)
	})
}

func appsOf(ctx context.Context, c *conn, query string, args ...any) ([]auth.App, error) {
	apps, err := all(ctx, c, scanApp, query, args...)
	for i := 0; err == nil && i < len(apps); i++ {
		apps[i], err = withCredentials(ctx, c, apps[i])
	}
	return apps, err
}

// ChangeApp changes an application as access.Records says. Its id can't change,
// nor what is in a credential.
func (s *Store) ChangeApp(ctx context.Context, tenant, id string, change func(app auth.App, others access.Administrators) (auth.App, []audit.Entry, error)) (auth.App, error) {
	return write(ctx, s, "change application "+id, func(ctx context.Context, t *tx) (auth.App, error) {
		var none auth.App
		// Where transactions run side by side, two that take one administrator
		// each must not both find the other's there.
		if _, err := tenantOf(ctx, t.conn, tenant, t.dialect.lock("tenants")); err != nil {
			return none, err
		}
		was, err := appOf(ctx, t.conn, tenant, id)
		if err != nil {
			return none, err
		}
		var others access.Administrators
		others.Apps, err = appsOf(ctx, t.conn, selectApps+" AND a.id <> ? AND a.revoked = ? AND a.roles LIKE ?", tenant, id, false, `%"`+auth.Administer+`"%`)
		if err != nil {
			return none, err
		}
		if others.People, err = administered(ctx, t.conn, tenant); err != nil {
			return none, err
		}
		app, entries, err := change(was, others)
		if err != nil {
			return none, passed{err}
		}
		if err := t.changeApp(ctx, was, app); err != nil {
			return none, err
		}
		for _, e := range entries {
			if _, _, err := t.record(ctx, tenant, e); err != nil {
				return none, err
			}
		}
		return appOf(ctx, t.conn, tenant, id)
	})
}

func (t *tx) changeApp(ctx context.Context, was, app auth.App) error {
	if app.Tenant != was.Tenant || app.ID != was.ID {
		return fmt.Errorf("a change of which application it is: %s, was %s", app.ID, was.ID)
	}
	_, err := t.exec(ctx, "UPDATE apps SET name = ?, roles = ?, scopes = ?, redirects = ?, public = ?, revoked = ? WHERE tenant = ? AND id = ?",
		app.Name, texts(app.Roles), texts(app.Scopes), texts(app.Redirects), app.Public, app.Revoked, was.Tenant, was.ID)
	if err != nil {
		return err
	}
	for _, k := range missingFrom(was.Secrets, app.Secrets, sameSecret) {
		if _, err := t.exec(ctx, "DELETE FROM app_secrets WHERE tenant = ? AND app = ? AND id = ?", was.Tenant, was.ID, k.ID); err != nil {
			return fmt.Errorf("secret %s: %w", k.ID, err)
		}
	}
	for _, k := range missingFrom(app.Secrets, was.Secrets, sameSecret) {
		if err := t.addSecret(ctx, was.Tenant, was.ID, k); err != nil {
			return err
		}
	}
	for _, k := range missingFrom(was.Certificates, app.Certificates, sameCertificate) {
		if _, err := t.exec(ctx, "DELETE FROM app_certificates WHERE tenant = ? AND app = ? AND id = ?", was.Tenant, was.ID, k.ID); err != nil {
			return fmt.Errorf("certificate %s: %w", k.ID, err)
		}
	}
	for _, k := range missingFrom(app.Certificates, was.Certificates, sameCertificate) {
		if err := t.addCertificate(ctx, was.Tenant, was.ID, k); err != nil {
			return err
		}
	}
	return nil
}

func sameSecret(a, b auth.Secret) bool { return a.ID == b.ID && a.Hash == b.Hash }

func sameCertificate(a, b auth.Certificate) bool { return a.ID == b.ID && bytes.Equal(a.DER, b.DER) }

// missingFrom is what of list is not in other.
func missingFrom[T any](list, other []T, same func(a, b T) bool) []T {
	return slices.DeleteFunc(slices.Clone(list), func(a T) bool {
		return slices.ContainsFunc(other, func(b T) bool { return same(a, b) })
	})
}
