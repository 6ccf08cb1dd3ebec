package server

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/keys"
	"swab/internal/store"
)

// Names of files in the data directory.
const (
	bootstrapFile = "bootstrap.json"
	authorityFile = "ca.pem"
	recoveryFile  = "recovery.key"
	databaseFile  = "swab.db"
	lockFile      = "server.lock"
)

// Bootstrap is what the first start leaves for the operator, in bootstrap.json:
// how to reach the server, and an application and an enrolment token to begin
// with. Its secrets are in no other place; the store has their hashes.
type Bootstrap struct {
	APIBase         string `json:"apiBase"`         // the first base URL
	Authority       string `json:"authority"`       // apiBase + "/" + tenantId: where tokens come from
	TenantID        string `json:"tenantId"`        //
	ClientID        string `json:"clientId"`        //
	ClientSecret    string `json:"clientSecret"`    //
	EnrollmentToken string `json:"enrollmentToken"` // for devices; without count or end: revoke it after the first hours
	CAFile          string `json:"caFile"`          // certificate of the server's own authority, PEM; "" where the operator gave another
	ReceiptKey      []byte `json:"receiptKey"`      // Ed25519: what swab verify --trust takes
	LogKey          []byte `json:"logKey"`          // Ed25519: by which swab audit verify checks
}

// bootstrap makes the first tenant, application and enrolment token, once, and
// keeps bootstrap.json true to the server's addresses. A draft of the file says
// what is to be made before anything is, so that a start which ends in between
// is finished by the next one, and no secret is ever in the store alone.
func bootstrap(ctx context.Context, dir string, st *store.Store, ring *keys.Ring, base, ca string, now time.Time) ([]auth.Tenant, Bootstrap, error) {
	var b Bootstrap
	tenants, err := st.Tenants(ctx)
	if err != nil {
		return nil, b, fmt.Errorf("look for tenants: %w", err)
	}
	name := filepath.Join(dir, bootstrapFile)
	draft := name + ".new"
	b, drafted, err := readBootstrap(draft)
	if err != nil {
		return nil, b, err
	}
	if len(tenants) == 0 && !drafted {
		drafted = true
		b = Bootstrap{
			TenantID: uuid.NewString(), ClientID: uuid.NewString(), ClientSecret: auth.NewSecret().Reveal(), EnrollmentToken: auth.NewEnrollmentToken().Reveal(),
		}
		if err := b.write(draft, base, ca, ring); err != nil {
			return nil, b, err
		}
	}
	if drafted {
		if err := b.found(ctx, st, tenants, now); err != nil {
			return nil, b, err
		}
		if err := os.Rename(draft, name); err != nil {
			return nil, b, fmt.Errorf("name %s: %w", bootstrapFile, err)
		}
		if tenants, err = st.Tenants(ctx); err != nil {
			return nil, b, fmt.Errorf("look for tenants: %w", err)
		}
	}
	// An operator who put the file away does not get it back.
	b, there, err := readBootstrap(name)
	if err != nil || !there {
		return tenants, b, err
	}
	err = b.write(name, base, ca, ring)
	return tenants, b, err
}

// found makes what b names, in one transaction with the entries that say so. An
// earlier start that ended before the draft had its name has made it already.
func (b *Bootstrap) found(ctx context.Context, st *store.Store, tenants []auth.Tenant, now time.Time) error {
	if slices.ContainsFunc(tenants, func(t auth.Tenant) bool { return t.ID == b.TenantID }) {
		return nil
	}
	made, err := st.Keys(ctx)
	if err != nil {
		return fmt.Errorf("look for the server's keys: %w", err)
	}
	token := uuid.NewString()
	server := auth.Caller{Kind: auth.Server, Tenant: b.TenantID, ID: "server", Name: "server"}
	entry := func(act audit.Act, object, detail string) audit.Entry {
		return audit.NewEntry(now, audit.Leaf{Act: act, Object: object, Result: audit.Done, Detail: detail}, server.Hidden(""))
	}
	entries := []audit.Entry{entry(audit.ActStart, b.TenantID, "")}
	for _, k := range made {
		entries = append(entries, entry(audit.ActKey, k.ID, string(k.Purpose)))
	}
	line := auth.NewCommandLine(b.TenantID, now)
	entries = append(entries, entry(audit.ActApp, b.ClientID, strings.Join(auth.Permissions, ",")),
		entry(audit.ActApp, line.ID, strings.Join(line.Scopes, ",")), entry(audit.ActCreateEnrollment, token, ""))
	return st.Found(ctx,
		auth.Tenant{ID: b.TenantID, Name: "default", Created: now},
		[]auth.App{{
			Tenant: b.TenantID, ID: b.ClientID, Name: "bootstrap", Roles: auth.Permissions, Created: now,
			Secrets: []auth.Secret{{ID: uuid.NewString(), Hash: sha256.Sum256([]byte(b.ClientSecret)), Created: now}},
		}, line},
		auth.Enrollment{Tenant: b.TenantID, ID: token, Hash: sha256.Sum256([]byte(b.EnrollmentToken)), Created: now, Left: -1, Tags: []string{}},
		entries...)
}

// readBootstrap reads the file, if it is there.
func readBootstrap(name string) (b Bootstrap, there bool, err error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return b, false, nil
	}
	if err != nil {
		return b, false, err
	}
	if err := json.Unmarshal(data, &b); err != nil {
		return b, false, fmt.Errorf("%s is not as it was written (%w): put the file away, or restore it", name, err)
	}
	return b, true, nil
}

// write brings what depends on the server's settings and keys up to date, in b
// and in the file.
func (b *Bootstrap) write(name string, base string, ca string, ring *keys.Ring) error {
	b.APIBase, b.Authority, b.CAFile = base, base+"/"+b.TenantID, ca
	b.ReceiptKey, b.LogKey = ring.PublicReceiptKey(), ring.PublicLogKey()
	data, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(name, append(data, '\n'), 0o600)
}

// keepRecoveryKey writes the recovery key's private half for the operator to
// put away. An earlier file is of a start that ended before its key was in use.
func keepRecoveryKey(dir string) func(ed25519.PrivateKey) error {
	return func(key ed25519.PrivateKey) error {
		text := "# Swab's recovery key. It lets devices accept an audit log that was restored from a backup.\n" +
			"# Put this file away, off this machine, and remove it from here.\n" +
			base64.StdEncoding.EncodeToString(key.Seed()) + "\n"
		return writeFile(filepath.Join(dir, recoveryFile), []byte(text), 0o600)
	}
}

// writeFile puts a small file in its place, whole and durable, or not at all.
func writeFile(name string, data []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return syncDir(filepath.Dir(name))
}
