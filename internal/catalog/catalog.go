// Package catalog is what can be asked of a device, as data that both sides
// link: items, their stages, the profiles that name them, and the digests that
// bind them.
//
// A server asks for a profile by name and digest; the device looks both up in
// its own catalogue and takes nothing else. A package carries the plan it was
// made by, and a verifier takes a plan only if its digest is one that a receipt
// or its own catalogue names: what must be accounted for is never learnt from
// the package alone.
package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"swab/internal/canon"
)

// Stage is a step in the order of volatility (RFC 3227).
type Stage int

// The stages, the most volatile first.
const (
	Volatile   Stage = 0 // gone at the next moment: processes, sockets
	State      Stage = 1 // how the system is set up
	History    Stage = 2 // what happened before
	FileSystem Stage = 3 // the long walk
	OnDemand   Stage = 4 // only where a profile names it
)

// Item is one data point of a package.
type Item struct {
	Name    string   `json:"name"` // system and thing: "linux.processes"
	Stage   Stage    `json:"stage"`
	Version int      `json:"version"` // of what it yields; a new column is a new version
	Folder  string   `json:"folder"`  // where its tables and files stand in the package
	Tables  []string `json:"tables"`  // names of its tables, without folder and extension
	Title   string   `json:"title"`   // what it is, for the summary
}

// Path is the place of one of the item's tables in the package, without extension.
func (i Item) Path(table string) string { return i.Folder + "/" + table }

// Plan is what a profile asks of one system. Its canonical form is plan.json.
type Plan struct {
	Format  string `json:"format"` // PlanFormat
	Profile string `json:"profile"`
	System  string `json:"system"` // GOOS
	Items   []Item `json:"items"`  // in order of stage, then as collected
}

// PlanFormat names the form of plan.json.
const PlanFormat = "swab.plan/1"

// DefaultProfile is what a collection takes that names no profile.
const DefaultProfile = "triage"

// Canonical is plan.json, byte for byte.
func (p Plan) Canonical() []byte {
	b, err := canon.Marshal(p)
	if err != nil {
		panic("catalog: a plan of plain data can't be encoded: " + err.Error())
	}
	return b
}

// Digest is the profile's digest for the plan's system.
func (p Plan) Digest() Digest { return DigestOf(p.Canonical()) }

// Item returns the plan's item of that name.
func (p Plan) Item(name string) (Item, bool) {
	i := slices.IndexFunc(p.Items, func(it Item) bool { return it.Name == name })
	if i < 0 {
		return Item{}, false
	}
	return p.Items[i], true
}

// Digest is "sha256:" and 64 lower-case hex digits.
type Digest string

// DigestOf is the digest of bytes.
func DigestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// Catalog is all plans of one release.
type Catalog struct {
	Release string `json:"release"`
	Plans   []Plan `json:"plans"`
}

// Digest names the catalogue: a device says by it what it can be asked for.
func (c Catalog) Digest() Digest {
	var all []byte
	for _, p := range c.Plans {
		all = append(all, p.Digest()...)
		all = append(all, '\n')
	}
	return DigestOf(all)
}

// Plan returns the catalogue's plan of a profile for a system.
func (c Catalog) Plan(profile, system string) (Plan, bool) {
	i := slices.IndexFunc(c.Plans, func(p Plan) bool { return p.Profile == profile && p.System == system })
	if i < 0 {
		return Plan{}, false
	}
	return c.Plans[i], true
}

// ByDigest returns the plan of that digest.
func (c Catalog) ByDigest(d Digest) (Plan, bool) {
	i := slices.IndexFunc(c.Plans, func(p Plan) bool { return p.Digest() == d })
	if i < 0 {
		return Plan{}, false
	}
	return c.Plans[i], true
}

// OfRelease returns the catalogue of that digest among all that were ever released.
func OfRelease(d Digest) (Catalog, bool) {
	for _, c := range Releases() {
		if c.Digest() == d {
			return c, true
		}
	}
	return Catalog{}, false
}

// Known returns the plan of that digest among those of every release.
func Known(d Digest) (Plan, error) {
	for _, c := range Releases() {
		if p, ok := c.ByDigest(d); ok {
			return p, nil
		}
	}
	return Plan{}, fmt.Errorf("no release of Swab has a plan with digest %.80q", string(d))
}
