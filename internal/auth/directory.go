package auth

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"swab/internal/device"
	"swab/internal/fault"
)

// DirectoryAge bounds how old what a [Directory] remembers can be: a change that
// another node made holds here after it at the latest.
const DirectoryAge = time.Second

// maxRemembered bounds the answers of each kind, found or not, that a directory
// remembers at once. Beyond, it begins anew: each costs one look-up a second.
const maxRemembered = 4096

// maxID bounds the ids that are looked for, in bytes; all that there are, are
// GUIDs. Without it, whoever asks for tokens in the name of long ids would fill
// the memory with them.
const maxID = 64

// people is where tenants, applications and people are kept; *store.Store
// satisfies it. What is not there is fault.NotFound.
type people interface {
	Tenants(ctx context.Context) ([]Tenant, error)
	App(ctx context.Context, tenant, id string) (App, error)
	Person(ctx context.Context, tenant, id string) (Person, error)

	// Policy returns the roles and device groups of a tenant.
	Policy(ctx context.Context, tenant string) (*Policy, error)

	// SessionOf returns the id of the person whose sign-in a session is. One that
	// has ended is fault.NotFound.
	SessionOf(ctx context.Context, tenant, session string) (person string, err error)

	// TrustedIssuers returns those of all tenants.
	TrustedIssuers(ctx context.Context) ([]TrustedIssuer, error)

	// AccessRevision changes with each change of any of these that this process
	// makes: before whoever made it has the answer.
	AccessRevision() uint64
}

// Directory finds who and what may come in, for those who have to know at each
// request. It remembers what it found, but not beyond a change made by this
// process, and never longer than [DirectoryAge], for changes made by others.
// What is revoked, disabled or ended is not found, as if it had never been there.
// Safe for concurrent use; nobody changes what it returns.
type Directory struct {
	people people
	now    func() time.Time

	mu       sync.RWMutex
	revision uint64 // of all that is remembered
	tenants  memory[string, map[string]Tenant]
	apps     memory[key, App]
	persons  memory[key, Person]
	policies memory[string, *Policy]
	sessions memory[key, string]
	issuers  memory[string, []TrustedIssuer]
}

// key is the id of a thing of a tenant.
type key struct{ tenant, id string }

// NewDirectory returns a directory of what people keeps.
func NewDirectory(people people, now func() time.Time) *Directory {
	return &Directory{
		people: people, now: now,
		tenants: memory[string, map[string]Tenant]{}, apps: memory[key, App]{}, persons: memory[key, Person]{},
		policies: memory[string, *Policy]{}, sessions: memory[key, string]{}, issuers: memory[string, []TrustedIssuer]{},
	}
}

// memory is what was found of one kind: that something is not there, too.
type memory[K comparable, V any] map[K]answer[V]

type answer[V any] struct {
	found V
	err   error // fault.NotFound, or nil
	at    time.Time
}

// recall is what the directory remembers in m of k, or what ask finds.
func recall[K comparable, V any](d *Directory, m memory[K, V], k K, ask func() (V, error)) (V, error) {
	// Before the store is asked, so that what it says is never taken for newer
	// than it is.
	now, revision := d.now(), d.people.AccessRevision()
	d.mu.RLock()
	a, ok := m[k]
	ok = ok && d.revision == revision && fresh(a.at, now)
	d.mu.RUnlock()
	if ok {
		return a.found, a.err
	}
	a = answer[V]{at: now}
	a.found, a.err = ask()
	if a.err != nil && !errors.Is(a.err, fault.NotFound) {
		return a.found, a.err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begin(revision)
	if d.revision == revision {
		if len(m) >= maxRemembered {
			clear(m)
		}
		m[k] = a
	}
	return a.found, a.err
}

// Tenant finds a tenant by its id or its name, in any case, or is fault.NotFound.
func (d *Directory) Tenant(ctx context.Context, name string) (Tenant, error) {
	all, err := recall(d, d.tenants, "", func() (map[string]Tenant, error) {
		list, err := d.people.Tenants(ctx)
		all := make(map[string]Tenant, 2*len(list))
		for _, t := range list {
			if !t.Revoked {
				all[strings.ToLower(t.Name)] = t
			}
		}
		for _, t := range list { // after the names: no name can take an id's place
			if !t.Revoked {
				all[strings.ToLower(t.ID)] = t
			}
		}
		return all, err
	})
	if err != nil {
		return Tenant{}, err
	}
	t, found := all[strings.ToLower(name)]
	if !found {
		return Tenant{}, fault.NotFound.Errorf(nil, "There is no such tenant")
	}
	return t, nil
}

// App finds an application of a tenant, by their ids, or is fault.NotFound.
func (d *Directory) App(ctx context.Context, tenant, id string) (App, error) {
	if err := d.within(ctx, tenant, id); err != nil {
		return App{}, err
	}
	return recall(d, d.apps, key{tenant, id}, func() (App, error) {
		app, err := d.people.App(ctx, tenant, id)
		if err == nil && app.Revoked {
			return App{}, fault.NotFound.Errorf(nil, "Application %s is revoked", app.ID)
		}
		return app, err
	})
}

// Person finds a person of a tenant, by their ids, or is fault.NotFound.
func (d *Directory) Person(ctx context.Context, tenant, id string) (Person, error) {
	if err := d.within(ctx, tenant, id); err != nil {
		return Person{}, err
	}
	return recall(d, d.persons, key{tenant, id}, func() (Person, error) {
		p, err := d.people.Person(ctx, tenant, id)
		if err == nil && p.Disabled {
			return Person{}, fault.NotFound.Errorf(nil, "User %s is disabled", p.ID)
		}
		return p, err
	})
}

// Policy returns the roles and device groups of a tenant, or is fault.NotFound.
func (d *Directory) Policy(ctx context.Context, tenant string) (*Policy, error) {
	if _, err := d.Tenant(ctx, tenant); err != nil {
		return nil, err
	}
	return recall(d, d.policies, tenant, func() (*Policy, error) { return d.people.Policy(ctx, tenant) })
}

// Groups returns the device groups of a tenant, or is fault.NotFound.
func (d *Directory) Groups(ctx context.Context, tenant string) (*device.Groups, error) {
	p, err := d.Policy(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return p.Groups, nil
}

// SessionOf returns the id of the person whose sign-in a session is, or is
// fault.NotFound where it has ended.
func (d *Directory) SessionOf(ctx context.Context, tenant, session string) (person string, err error) {
	if err := d.within(ctx, tenant, session); err != nil {
		return "", err
	}
	return recall(d, d.sessions, key{tenant, session}, func() (string, error) { return d.people.SessionOf(ctx, tenant, session) })
}

// TrustedIssuers returns the issuers beside this one whose tokens hold here, of
// the tenants that are not revoked.
func (d *Directory) TrustedIssuers(ctx context.Context) ([]TrustedIssuer, error) {
	return recall(d, d.issuers, "", func() ([]TrustedIssuer, error) {
		all, err := d.people.TrustedIssuers(ctx)
		if err != nil {
			return nil, err
		}
		kept := []TrustedIssuer{}
		for _, one := range all {
			_, err := d.Tenant(ctx, one.Tenant)
			if err != nil && !errors.Is(err, fault.NotFound) {
				return nil, err
			}
			if err == nil && !one.Revoked {
				kept = append(kept, one)
			}
		}
		return kept, nil
	})
}

// within is nil if the tenant is there and the id could be of something.
func (d *Directory) within(ctx context.Context, tenant, id string) error {
	if len(id) > maxID {
		return fault.NotFound.Errorf(nil, "There is nothing with such an id")
	}
	_, err := d.Tenant(ctx, tenant)
	return err
}

// begin forgets everything that is older than revision. Its caller holds mu.
func (d *Directory) begin(revision uint64) {
	if revision <= d.revision {
		return
	}
	d.revision = revision
	clear(d.tenants)
	clear(d.apps)
	clear(d.persons)
	clear(d.policies)
	clear(d.sessions)
	clear(d.issuers)
}

// fresh says whether what was read at a time still counts. A clock that was set
// back makes nothing fresh.
func fresh(at, now time.Time) bool {
	age := now.Sub(at)
	return age >= 0 && age < DirectoryAge
}
