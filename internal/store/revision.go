package store

import (
	"context"
	"strings"
)

// identities are the tables whose changes callers may not go on without: who is
// let in, and as what.
var identities = []string{
	"tenants", "apps", "app_secrets", "app_certificates",
	"users", "user_groups", "user_group_members", "roles", "role_groups", "device_groups", "device_group_access",
	"sessions SET ended", // a new one, and the use of one, change nothing for anybody
	"trusted_issuers",
}

// AccessRevision changes with each change that this process makes of what stands
// in those tables, before the call that makes it returns. It starts at 0 with the
// process.
func (s *Store) AccessRevision() uint64 { return s.revision.Load() }

// exec is conn.exec; it takes note of changes that raise the revision, so that
// no call can forget to.
func (t *tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	n, err := t.conn.exec(ctx, query, args...)
	if n > 0 { // what changed nothing makes nobody forget what they know
		t.identity = t.identity || ofIdentities(query)
	}
	return n, err
}

func ofIdentities(query string) bool {
	for _, table := range identities {
		for _, verb := range []string{"INSERT INTO ", "UPDATE ", "DELETE FROM "} {
			if rest, ok := strings.CutPrefix(query, verb); ok && strings.HasPrefix(rest, table+" ") {
				return true
			}
		}
	}
	return false
}
