package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/credential"
	"swab/internal/fault"
	"swab/internal/signin"
)

var _ signin.Records = (*Store)(nil)

// Account returns the person of a user principal name with their credential, but
// without their groups. Whether they are there or not, it is one query.
func (s *Store) Account(ctx context.Context, tenant, principal string) (auth.Person, auth.Credential, error) {
	type account struct {
		auth.Person
		auth.Credential
	}
	a, err := read(ctx, s, "account", func(ctx context.Context, c *conn) (account, error) {
		a, err := one(ctx, c, func(r row) (a account, err error) {
			p := &a.Person
			err = r.Scan(append([]any{&p.Tenant, &p.ID, &p.Principal, &p.Name, when{&p.Created}, &p.Disabled}, credentialDest(&a.Credential)...)...)
			return a, err
		}, "SELECT u.tenant, u.id, u.principal, u.name, u.created, u.disabled, "+
			"COALESCE(k.password, ''), k.changed, COALESCE(k.must_change, FALSE), k.totp, COALESCE(k.step, 0), COALESCE(k.recovery, '[]') "+
			"FROM users u LEFT JOIN user_credentials k ON k.tenant = u.tenant AND k.person = u.id WHERE u.tenant = ? AND u.principal = ?", tenant, principal)
		if errors.Is(err, sql.ErrNoRows) {
			return a, fault.NotFound.Errorf(err, "There is no such user")
		}
		return a, err
	})
	return a.Person, a.Credential, err
}

// GroupNames returns the names of the user groups that a person is in.
func (s *Store) GroupNames(ctx context.Context, tenant, person string) ([]string, error) {
	return read(ctx, s, "user groups of user "+person, func(ctx context.Context, c *conn) ([]string, error) {
		return all(ctx, c, value[string], "SELECT g.name FROM user_group_members m JOIN user_groups g ON g.tenant = m.tenant AND g.id = m.user_group "+
			"WHERE m.tenant = ? AND m.member = ? ORDER BY g.folded", tenant, person)
	})
}

// ChangeCredential changes a person's credential as signin.Records says.
func (s *Store) ChangeCredential(ctx context.Context, tenant, person string, change func(auth.Credential) (signin.CredentialChange, error)) error {
	_, err := write(ctx, s, "change the credential of user "+person, func(ctx context.Context, t *tx) (none struct{}, err error) {
		k, err := credentialOf(ctx, t.conn, tenant, person, t.dialect.lock("user_credentials"))
		if err != nil {
			return none, err
		}
		is, err := change(k)
		if err != nil {
			return none, passed{err}
		}
		if err := t.setCredential(ctx, tenant, person, is.Credential); err != nil {
			return none, err
		}
		if is.End {
			if err := t.endSessions(ctx, tenant, person, is.Keep); err != nil {
				return none, err
			}
		}
		return none, t.recordAll(ctx, tenant, is.Entries)
	})
	return err
}

func (t *tx) recordAll(ctx context.Context, tenant string, entries []audit.Entry) error {
	for _, e := range entries {
		if _, _, err := t.record(ctx, tenant, e); err != nil {
			return err
		}
	}
	return nil
}

// AddSession keeps a new session as signin.Records says.
func (s *Store) AddSession(ctx context.Context, n signin.Session, refresh *signin.Refresh, replaces string, still func(auth.Credential) error, e audit.Entry) error {
	_, err := write(ctx, s, "begin a sign-in of user "+n.Person, func(ctx context.Context, t *tx) (none struct{}, err error) {
		k, err := credentialOf(ctx, t.conn, n.Tenant, n.Person, t.dialect.share("user_credentials"))
		if err != nil {
			return none, err
		}
		if err := still(k); err != nil {
			return none, passed{err}
		}
		if err := t.addSession(ctx, n); err != nil {
			return none, err
		}
		if refresh != nil {
			if err := t.addRefresh(ctx, *refresh); err != nil {
				return none, err
			}
		}
		if replaces != "" {
			if err := t.replaceSession(ctx, n, replaces); err != nil {
				return none, err
			}
		}
		_, _, err = t.record(ctx, n.Tenant, e)
		return none, err
	})
	return err
}

func (t *tx) addSession(ctx context.Context, n signin.Session) error {
	_, err := t.exec(ctx, "INSERT INTO sessions (tenant, id, hash, person, app, parent, methods, proved, created, used, expires, ended, address, agent) "+
		"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		n.Tenant, n.ID, n.Cookie[:], n.Person, n.App, n.Parent, texts(n.Methods), ticks(n.Proved), ticks(n.Created), ticks(n.Used), ticks(n.Expires), false, n.From, n.Agent)
	return err
}

// selectSession selects sessions that have not ended. Its first parameters are
// false, the time, and the tenant.
const selectSession = "SELECT s.tenant, s.id, s.hash, s.person, u.principal, s.app, s.parent, s.methods, s.proved, s.created, s.used, s.expires, s.address, s.agent " +
	"FROM sessions s JOIN users u ON u.tenant = s.tenant AND u.id = s.person WHERE s.ended = ? AND s.expires > ? AND s.tenant = ?"

func scanSession(r row) (n signin.Session, err error) {
	err = r.Scan(&n.Tenant, &n.ID, hash{&n.Cookie}, &n.Person, &n.Principal, &n.App, &n.Parent, fromText{&n.Methods},
		when{&n.Proved}, when{&n.Created}, when{&n.Used}, when{&n.Expires}, &n.From, &n.Agent)
	return n, err
}

// hash scans a SHA-256 hash.
type hash struct{ to *[32]byte }

func (h hash) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok || len(b) != len(h.to) {
		return fmt.Errorf("a hash is %T of another length than %d in the database", v, len(h.to))
	}
	copy(h.to[:], b)
	return nil
}

func noSession(cause error) error {
	return fault.NotFound.Errorf(cause, "The sign-in was not found, or has ended")
}

// BrowserSession returns the browser's session that a cookie is of.
func (s *Store) BrowserSession(ctx context.Context, tenant string, cookie [32]byte) (signin.Session, error) {
	return read(ctx, s, "browser's session", func(ctx context.Context, c *conn) (signin.Session, error) {
		n, err := one(ctx, c, scanSession, selectSession+" AND s.hash = ? AND s.app = ''", false, ticks(s.now()), tenant, cookie[:])
		if errors.Is(err, sql.ErrNoRows) {
			return n, noSession(err)
		}
		return n, err
	})
}

// sessionOf is a session, and nothing but its id where it has ended.
func (s *Store) sessionOf(ctx context.Context, c *conn, tenant, id, lock string) (signin.Session, error) {
	n, err := one(ctx, c, scanSession, selectSession+" AND s.id = ?"+lock, false, ticks(s.now()), tenant, id)
	if errors.Is(err, sql.ErrNoRows) {
		return signin.Session{ID: id}, nil
	}
	return n, err
}

// UseSession keeps that a session was used, and how long it is good for.
func (s *Store) UseSession(ctx context.Context, tenant, id string, used, expires time.Time) error {
	_, err := write(ctx, s, "keep that session "+id+" was used", func(ctx context.Context, t *tx) (struct{}, error) {
		return struct{}{}, t.useSession(ctx, tenant, id, used, expires)
	})
	return err
}

func (t *tx) useSession(ctx context.Context, tenant, id string, used, expires time.Time) error {
	_, err := t.exec(ctx, "UPDATE sessions SET used = ?, expires = ? WHERE tenant = ? AND id = ? AND ended = ?", ticks(used), ticks(expires), tenant, id, false)
	return err
}

// Sessions returns a person's sessions that have not ended, those used last first.
func (s *Store) Sessions(ctx context.Context, tenant, person string, most int) ([]signin.Session, error) {
	return read(ctx, s, "sessions of user "+person, func(ctx context.Context, c *conn) ([]signin.Session, error) {
		return all(ctx, c, scanSession, selectSession+" AND s.person = ? ORDER BY s.used DESC, s.id LIMIT ?", false, ticks(s.now()), tenant, person, most)
	})
}

// EndSession ends one of a person's sessions and, unless alone, those that began
// from it.
func (s *Store) EndSession(ctx context.Context, tenant, person, id string, alone bool, e audit.Entry) error {
	_, err := write(ctx, s, "end session "+id, func(ctx context.Context, t *tx) (none struct{}, err error) {
		n, err := s.sessionOf(ctx, t.conn, tenant, id, t.dialect.lock("s"))
		if err != nil {
			return none, err
		}
		if n.Person != person {
			return none, noSession(nil)
		}
		if _, err := t.endSession(ctx, tenant, id, alone); err != nil {
			return none, err
		}
		_, _, err = t.record(ctx, tenant, e)
		return none, err
	})
	return err
}

// endSession ends a session and then, unless alone, those that began from it, and
// returns how many: whoever begins one relies on its parent, and has either been
// seen or sees it ended.
func (t *tx) endSession(ctx context.Context, tenant, id string, alone bool) (ended int64, err error) {
	columns := []string{"id", "parent"}
	if alone {
		columns = columns[:1]
	}
	for _, column := range columns {
		n, err := t.exec(ctx, "UPDATE sessions SET ended = ? WHERE tenant = ? AND "+column+" = ? AND ended = ?", true, tenant, id, false)
		if err != nil {
			return ended, err
		}
		ended += n
	}
	return ended, nil
}

// replaceSession ends the session that a browser had before a new one. What the
// same person's applications began from it goes on, as if it had begun from the
// new one: whoever ends that one ends them with it.
func (t *tx) replaceSession(ctx context.Context, by signin.Session, replaced string) error {
	if _, err := t.endSession(ctx, by.Tenant, replaced, true); err != nil {
		return err
	}
	_, err := t.exec(ctx, "UPDATE sessions SET parent = ? WHERE tenant = ? AND parent = ? AND person = ? AND ended = ?",
		by.ID, by.Tenant, replaced, by.Person, false)
	return err
}

// EndSessions ends all of a person's sessions but the one to keep.
func (s *Store) EndSessions(ctx context.Context, tenant, person, keep string, e audit.Entry) error {
	_, err := write(ctx, s, "end the sessions of user "+person, func(ctx context.Context, t *tx) (none struct{}, err error) {
		if err := t.endSessions(ctx, tenant, person, keep); err != nil {
			return none, err
		}
		_, _, err = t.record(ctx, tenant, e)
		return none, err
	})
	return err
}

// endSessions ends those of browsers first, as endSession does.
func (t *tx) endSessions(ctx context.Context, tenant, person, keep string) error {
	for _, which := range []string{"app = ''", "app <> ''"} {
		if _, err := t.exec(ctx, "UPDATE sessions SET ended = ? WHERE tenant = ? AND person = ? AND id <> ? AND ended = ? AND "+which,
			true, tenant, person, keep, false); err != nil {
			return err
		}
	}
	return nil
}

// AddCode keeps an authorization code.
func (s *Store) AddCode(ctx context.Context, c signin.Code) error {
	_, err := write(ctx, s, "keep an authorization code", func(ctx context.Context, t *tx) (struct{}, error) {
		_, err := t.exec(ctx, "INSERT INTO sign_in_codes (tenant, hash, app, scope, redirect, challenge, nonce, parent, session, used, expires) "+
			"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			c.Tenant, c.Hash[:], c.App, text(c.Scope), c.Redirect, c.Challenge, c.Nonce, c.Browser.ID, c.Session, c.Used, ticks(c.Expires))
		return struct{}{}, err
	})
	return err
}

// TakeCode does with an authorization code what take says.
func (s *Store) TakeCode(ctx context.Context, tenant string, key [32]byte, take func(signin.Code) signin.Outcome) error {
	_, err := write(ctx, s, "take an authorization code", func(ctx context.Context, t *tx) (none struct{}, err error) {
		c, err := one(ctx, t.conn, func(r row) (c signin.Code, err error) {
			err = r.Scan(&c.Tenant, hash{&c.Hash}, &c.App, fromText{&c.Scope}, &c.Redirect, &c.Challenge, &c.Nonce, &c.Browser.ID, &c.Session, &c.Used, when{&c.Expires})
			return c, err
		}, "SELECT tenant, hash, app, scope, redirect, challenge, nonce, parent, session, used, expires FROM sign_in_codes WHERE tenant = ? AND hash = ?"+
			t.dialect.lock("sign_in_codes"), tenant, key[:])
		if errors.Is(err, sql.ErrNoRows) {
			return none, fault.NotFound.Errorf(err, "There is no such authorization code")
		}
		if err != nil {
			return none, err
		}
		if c.Browser, err = s.sessionOf(ctx, t.conn, tenant, c.Browser.ID, t.dialect.share("s")); err != nil {
			return none, err
		}
		if c.Browser.Person == "" {
			c.Browser = signin.Session{}
		}
		o := take(c)
		if o.Used {
			given := ""
			if o.Begin != nil {
				given = o.Begin.ID
			}
			if _, err := t.exec(ctx, "UPDATE sign_in_codes SET used = ?, session = ? WHERE tenant = ? AND hash = ?", true, given, tenant, key[:]); err != nil {
				return none, err
			}
		}
		return none, t.outcome(ctx, tenant, o)
	})
	return err
}

// outcome does what all of what is presented have in common.
func (t *tx) outcome(ctx context.Context, tenant string, o signin.Outcome) error {
	if o.Begin != nil {
		if err := t.addSession(ctx, *o.Begin); err != nil {
			return err
		}
	}
	if o.Extend != nil {
		if err := t.useSession(ctx, tenant, o.Extend.ID, o.Extend.Used, o.Extend.Expires); err != nil {
			return err
		}
	}
	if o.Refresh != nil {
		if err := t.addRefresh(ctx, *o.Refresh); err != nil {
			return err
		}
	}
	if o.End != "" {
		ended, err := t.endSession(ctx, tenant, o.End, false)
		if err != nil || ended == 0 { // nobody fills the log by presenting the same once more
			return err
		}
	}
	return t.recordAll(ctx, tenant, o.Entries)
}

func (t *tx) addRefresh(ctx context.Context, r signin.Refresh) error {
	_, err := t.exec(ctx, "INSERT INTO refresh_tokens (tenant, hash, session, scope, used, expires) VALUES (?, ?, ?, ?, ?, ?)",
		r.Tenant, r.Hash[:], r.Session.ID, text(r.Scope), r.Used, ticks(r.Expires))
	return err
}

// TakeRefresh does with a refresh token what take says.
func (s *Store) TakeRefresh(ctx context.Context, tenant string, key [32]byte, take func(signin.Refresh) signin.Outcome) error {
	_, err := write(ctx, s, "take a refresh token", func(ctx context.Context, t *tx) (none struct{}, err error) {
		r, err := one(ctx, t.conn, func(w row) (r signin.Refresh, err error) {
			err = w.Scan(&r.Tenant, hash{&r.Hash}, &r.Session.ID, fromText{&r.Scope}, &r.Used, when{&r.Expires})
			return r, err
		}, "SELECT tenant, hash, session, scope, used, expires FROM refresh_tokens WHERE tenant = ? AND hash = ?"+t.dialect.lock("refresh_tokens"), tenant, key[:])
		if errors.Is(err, sql.ErrNoRows) {
			return none, fault.NotFound.Errorf(err, "There is no such refresh token")
		}
		if err != nil {
			return none, err
		}
		if r.Session, err = s.sessionOf(ctx, t.conn, tenant, r.Session.ID, t.dialect.lock("s")); err != nil {
			return none, err
		}
		o := take(r)
		if o.Used {
			if _, err := t.exec(ctx, "UPDATE refresh_tokens SET used = ? WHERE tenant = ? AND hash = ?", true, tenant, key[:]); err != nil {
				return none, err
			}
		}
		return none, t.outcome(ctx, tenant, o)
	})
	return err
}

// AddDeviceCode keeps a device code. One whose user code another has is
// fault.InvalidInput.
func (s *Store) AddDeviceCode(ctx context.Context, d signin.DeviceCode) error {
	_, err := write(ctx, s, "keep a device code", func(ctx context.Context, t *tx) (struct{}, error) {
		_, err := t.exec(ctx, "INSERT INTO device_codes (tenant, hash, user_code, app, scope, address, agent, state, session, polled, expires) "+
			"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			d.Tenant, d.Hash[:], string(d.UserCode), d.App, text(d.Scope), d.From, d.Agent, string(d.State), d.Session.ID, ticksOrNull(d.Polled), ticks(d.Expires))
		if t.dialect.duplicate(err) {
			return struct{}{}, fault.InvalidInput.Errorf(err, "The user code is in use")
		}
		return struct{}{}, err
	})
	return err
}

const selectDevice = "SELECT tenant, hash, user_code, app, scope, address, agent, state, session, polled, expires FROM device_codes WHERE tenant = ?"

func scanDeviceCode(r row) (d signin.DeviceCode, err error) {
	err = r.Scan(&d.Tenant, hash{&d.Hash}, &d.UserCode, &d.App, fromText{&d.Scope}, &d.From, &d.Agent, &d.State, &d.Session.ID, when{&d.Polled}, when{&d.Expires})
	return d, err
}

func noDeviceCode(cause error) error {
	return fault.NotFound.Errorf(cause, "There is no such device code")
}

// DeviceCode returns the device code that a user code is of.
func (s *Store) DeviceCode(ctx context.Context, tenant string, code credential.UserCode) (signin.DeviceCode, error) {
	return read(ctx, s, "device code", func(ctx context.Context, c *conn) (signin.DeviceCode, error) {
		d, err := one(ctx, c, scanDeviceCode, selectDevice+" AND user_code = ?", tenant, string(code))
		if errors.Is(err, sql.ErrNoRows) {
			return d, noDeviceCode(err)
		}
		return d, err
	})
}

// DecideDeviceCode keeps what a person decided as signin.Records says.
func (s *Store) DecideDeviceCode(ctx context.Context, tenant string, code credential.UserCode, state signin.DeviceState, begin *signin.Session, e audit.Entry) error {
	_, err := write(ctx, s, "decide a device code", func(ctx context.Context, t *tx) (none struct{}, err error) {
		given := ""
		if begin != nil {
			parent, err := s.sessionOf(ctx, t.conn, tenant, begin.Parent, t.dialect.share("s"))
			if err != nil {
				return none, err
			}
			if parent.Person == "" {
				return none, noSession(nil)
			}
			given = begin.ID
		}
		n, err := t.exec(ctx, "UPDATE device_codes SET state = ?, session = ? WHERE tenant = ? AND user_code = ? AND state = ? AND expires > ?",
			string(state), given, tenant, string(code), string(signin.DevicePending), ticks(s.now()))
		if err != nil {
			return none, err
		}
		if n == 0 {
			return none, noDeviceCode(nil)
		}
		return none, t.outcome(ctx, tenant, signin.Outcome{Begin: begin, Entries: []audit.Entry{e}})
	})
	return err
}

// TakeDeviceCode does with a device code what take says.
func (s *Store) TakeDeviceCode(ctx context.Context, tenant string, key [32]byte, take func(signin.DeviceCode) signin.Outcome) error {
	_, err := write(ctx, s, "take a device code", func(ctx context.Context, t *tx) (none struct{}, err error) {
		d, err := one(ctx, t.conn, scanDeviceCode, selectDevice+" AND hash = ?"+t.dialect.lock("device_codes"), tenant, key[:])
		if errors.Is(err, sql.ErrNoRows) {
			return none, noDeviceCode(err)
		}
		if err != nil {
			return none, err
		}
		if d.Session.ID != "" {
			if d.Session, err = s.sessionOf(ctx, t.conn, tenant, d.Session.ID, t.dialect.lock("s")); err != nil {
				return none, err
			}
		}
		o := take(d)
		if o.Used {
			d.State = signin.DeviceUsed
		}
		if !o.Polled.IsZero() {
			d.Polled = o.Polled
		}
		if o.Used || !o.Polled.IsZero() {
			if _, err := t.exec(ctx, "UPDATE device_codes SET state = ?, polled = ? WHERE tenant = ? AND hash = ?",
				string(d.State), ticksOrNull(d.Polled), tenant, key[:]); err != nil {
				return none, err
			}
		}
		return none, t.outcome(ctx, tenant, o)
	})
	return err
}

// ForgetSignIns deletes what has run out of codes, refresh tokens and sessions,
// and says whether there may be more.
func (s *Store) ForgetSignIns(ctx context.Context) (more bool, err error) {
	return write(ctx, s, "forget old sign-ins", func(ctx context.Context, t *tx) (more bool, err error) {
		now := ticks(s.now())
		for _, kind := range []struct{ table, key string }{
			{"sign_in_codes", "hash"}, {"device_codes", "hash"}, {"refresh_tokens", "hash"}, {"sessions", "id"},
		} {
			n, err := t.exec(ctx, "DELETE FROM "+kind.table+" WHERE (tenant, "+kind.key+") IN (SELECT tenant, "+kind.key+" FROM "+kind.table+
				" WHERE expires < ? ORDER BY expires LIMIT ?)", now, maxForgotten)
			if err != nil {
				return false, fmt.Errorf("%s: %w", kind.table, err)
			}
			more = more || n == maxForgotten
		}
		return more, nil
	})
}
