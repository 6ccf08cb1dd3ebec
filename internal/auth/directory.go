package auth

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"swab/internal/fault"
)

// DirectoryAge bounds how old what a [Directory] remembers can be: a change that
// another node made holds here after it at the latest.
const DirectoryAge = time.Second

// maxRemembered bounds the applications, known or not, that a directory
// remembers at once. Beyond, it begins anew: each costs one look-up a second.
const maxRemembered = 4096

// maxAppID bounds the ids that are looked for, in bytes; those of applications
// are GUIDs. Without it, whoever asks for tokens in the name of long ids would
// fill the memory with them.
const maxAppID = 64

// people is where tenants and applications are kept; *store.Store satisfies it.
type people interface {
	Tenants(ctx context.Context) ([]Tenant, error)

	// App returns one application, or fault.NotFound.
	App(ctx context.Context, tenant, id string) (App, error)

	// AccessRevision changes with each change of a tenant or an application that
	// this process makes: before whoever made it has the answer.
	AccessRevision() uint64
}

// Directory finds tenants and applications for those who have to know at each
// request. It remembers what it found, but not beyond a change made by this
// process, and never longer than [DirectoryAge], for changes made by others.
// What is revoked is not found, as if it had never been there. Safe for
// concurrent use; nobody changes what it returns.
type Directory struct {
	people people
	now    func() time.Time

	mu       sync.RWMutex
	revision uint64 // of all that is remembered
	tenants  map[string]Tenant
	listed   time.Time // when tenants was read
	apps     map[appKey]remembered
}

type appKey struct{ tenant, id string }

type remembered struct {
	app App
	err error // fault.NotFound, or nil
	at  time.Time
}

// NewDirectory returns a directory of what people keeps.
func NewDirectory(people people, now func() time.Time) *Directory {
	return &Directory{people: people, now: now, apps: map[appKey]remembered{}}
}

// Tenant finds a tenant by its id or its name, in any case, or is fault.NotFound.
func (d *Directory) Tenant(ctx context.Context, name string) (Tenant, error) {
	now, revision := d.now(), d.people.AccessRevision()
	d.mu.RLock()
	all, ok := d.tenants, d.revision == revision && fresh(d.listed, now)
	d.mu.RUnlock()
	if !ok {
		list, err := d.people.Tenants(ctx)
		if err != nil {
			return Tenant{}, err
		}
		all = make(map[string]Tenant, 2*len(list))
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
		d.mu.Lock()
		d.begin(revision)
		if d.revision == revision {
			d.tenants, d.listed = all, now
		}
		d.mu.Unlock()
	}
	t, found := all[strings.ToLower(name)]
	if !found {
		return Tenant{}, fault.NotFound.Errorf(nil, "There is no such tenant")
	}
	return t, nil
}

// App finds an application of a tenant, by their ids, or is fault.NotFound.
func (d *Directory) App(ctx context.Context, tenant, id string) (App, error) {
	if len(id) > maxAppID {
		return App{}, fault.NotFound.Errorf(nil, "There is no such application")
	}
	if _, err := d.Tenant(ctx, tenant); err != nil {
		return App{}, err
	}
	// Before the store is asked, so that what it says is never taken for newer
	// than it is.
	now, revision := d.now(), d.people.AccessRevision()
	key := appKey{tenant, id}
	d.mu.RLock()
	r, ok := d.apps[key]
	ok = ok && d.revision == revision && fresh(r.at, now)
	d.mu.RUnlock()
	if ok {
		return r.app, r.err
	}
	r = remembered{at: now}
	r.app, r.err = d.people.App(ctx, tenant, id)
	if r.err == nil && r.app.Revoked {
		r = remembered{at: now, err: fault.NotFound.Errorf(nil, "Application %s is revoked", r.app.ID)}
	}
	if r.err != nil && !errors.Is(r.err, fault.NotFound) {
		return App{}, r.err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begin(revision)
	if d.revision == revision {
		if len(d.apps) >= maxRemembered {
			clear(d.apps)
		}
		d.apps[key] = r
	}
	return r.app, r.err
}

// begin forgets everything that is older than revision. Its caller holds mu.
func (d *Directory) begin(revision uint64) {
	if revision > d.revision {
		d.revision, d.tenants, d.listed = revision, nil, time.Time{}
		clear(d.apps)
	}
}

// fresh says whether what was read at a time still counts. A clock that was set
// back makes nothing fresh.
func fresh(at, now time.Time) bool {
	age := now.Sub(at)
	return age >= 0 && age < DirectoryAge
}
