package vault

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"swab/internal/device"
	"swab/internal/evidence"
	"swab/internal/fault"
)

// Records is what the vault needs kept of each upload; *store.Store satisfies
// it. Each method is one transaction, durable when it returns nil.
type Records interface {
	// CreateUpload keeps a new upload. An attempt that has one is ErrExists.
	CreateUpload(ctx context.Context, u Upload) error

	// Upload returns one upload, or fault.NotFound.
	Upload(ctx context.Context, id string) (Upload, error)

	// ChangeUpload reads an upload, lets change make of it what it should
	// become, and keeps that. change may run more than once; its error changes
	// nothing and is returned.
	ChangeUpload(ctx context.Context, id string, change func(Upload) (Upload, error)) (Upload, error)

	// UploadsOf returns the uploads of an action, by attempt.
	UploadsOf(ctx context.Context, tenant, action string) ([]Upload, error)

	// UploadsIn returns uploads in a state, at most limit, the oldest first.
	UploadsIn(ctx context.Context, state State, limit int) ([]Upload, error)

	// UnwantedUploads returns uploads whose bytes are kept and whose action was
	// cancelled, at most limit.
	UnwantedUploads(ctx context.Context, limit int) ([]Upload, error)
}

// ErrExists is the cause where an attempt has an upload already.
var ErrExists = errors.New("the attempt has an upload already")

// Limits are the bounds of what devices may put here.
type Limits struct {
	Bytes     int64 // of one upload; 0: 8 GiB
	PerDevice int   // uploads of one device that still receive; 0: 4
	Open      int   // uploads in all that still receive; 0: 1,000
	Reserve   int64 // bytes that are to stay free on the disk; 0: none
}

func (l Limits) orDefault() Limits {
	if l.Bytes <= 0 {
		l.Bytes = 8 << 30
	}
	if l.PerDevice <= 0 {
		l.PerDevice = 4
	}
	if l.Open <= 0 {
		l.Open = 1000
	}
	return l
}

// Options are what a vault is made of.
type Options struct {
	Dir     string // holds the bytes; made if it is missing
	Records Records
	Limits  Limits
	Check   evidence.Limits // of what is taken as a package
	Log     *slog.Logger
	Now     func() time.Time
}

// Vault keeps packages. It is safe for concurrent use.
type Vault struct {
	dir     directory
	records Records
	limits  Limits
	check   evidence.Limits
	log     *slog.Logger
	now     func() time.Time
	buffers sync.Pool // *[]byte of bufferSize

	full     atomic.Bool // the disk, when somebody last asked
	refused  struct{ device, all, unable atomic.Int64 }
	creating turns // by attempt
	settling turns // by upload

	closing chan struct{}
	work    sync.WaitGroup // followers

	mu   sync.Mutex
	live map[string]*live // uploads that receive or await their verdict, by id
	open map[string]device.ID
	per  map[device.ID]int
}

// bufferSize is how much is read or written at once.
const bufferSize = 256 << 10

// New opens the vault in a directory and settles what a crash left there.
func New(ctx context.Context, o Options) (*Vault, error) {
	v := &Vault{
		dir: directory(o.Dir), records: o.Records, limits: o.Limits.orDefault(), check: o.Check, log: o.Log, now: o.Now,
		closing: make(chan struct{}),
		live:    map[string]*live{}, open: map[string]device.ID{}, per: map[device.ID]int{},
	}
	v.buffers.New = func() any { b := make([]byte, bufferSize); return &b }
	if err := v.dir.prepare(); err != nil {
		return nil, err
	}
	receiving, err := v.records.UploadsIn(ctx, Receiving, v.limits.Open)
	if err != nil {
		return nil, fmt.Errorf("read the uploads that are open: %w", err)
	}
	for _, u := range receiving {
		v.count(u)
	}
	return v, v.tidy(ctx)
}

// tidy removes the bytes of uploads that are deleted, and tells of bytes that no
// record knows. Those are left where they are: after a database was restored
// from a backup they may be evidence.
func (v *Vault) tidy(ctx context.Context) error {
	var failed error
	err := v.dir.parts(func(id string, size int64) {
		u, err := v.records.Upload(ctx, id)
		switch {
		case errors.Is(err, fault.NotFound) && size == 0:
			err = v.dir.remove(partName(Upload{ID: id})) // made just before a crash
		case errors.Is(err, fault.NotFound):
			v.log.WarnContext(ctx, "bytes of an unknown upload are left in the package folder", "upload", id, "size", size)
			err = nil
		case err == nil && u.State == Deleted:
			err = v.dir.remove(partName(u))
		}
		failed = errors.Join(failed, err)
	})
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("tidy the package folder: %w", err)
	}
	return nil
}

// Close stops the work that goes on behind requests and waits for it.
func (v *Vault) Close() {
	v.mu.Lock()
	select {
	case <-v.closing:
	default:
		close(v.closing)
	}
	all := slices.Collect(maps.Values(v.live))
	v.mu.Unlock()
	for _, l := range all {
		l.follow.stop(errClosing)
	}
	v.work.Wait()
}

// Request is what a new upload is for.
type Request struct {
	Tenant  string
	Device  device.ID
	Action  string
	Attempt int
	Length  int64 // -1: not known yet
}

// names are the only ones that become part of a path.
var names = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// Create begins an upload. Another one of the attempt is ErrExists, too many at
// once fault.TooMany, too long a one fault.TooLarge, and no room for it
// fault.Unavailable.
func (v *Vault) Create(ctx context.Context, r Request) (Upload, error) {
	if !names.MatchString(r.Tenant) || !names.MatchString(r.Action) || r.Attempt < 1 {
		return Upload{}, fault.InvalidInput.Errorf(nil, "There is no such action to upload for")
	}
	if r.Length > v.limits.Bytes {
		return Upload{}, fault.TooLarge.Errorf(nil, "An upload may have %d bytes at most", v.limits.Bytes)
	}
	// One after the other, so that a device that asks twice is not told that it
	// has too many open.
	defer v.creating.take(fmt.Sprintf("%s/%s/%d", r.Tenant, r.Action, r.Attempt))()
	now := v.now()
	u := Upload{
		ID: newID(), Tenant: r.Tenant, Device: r.Device, Action: r.Action, Attempt: r.Attempt, State: Receiving,
		Length: max(r.Length, -1), Limit: v.limits.Bytes, Created: now, Updated: now,
	}
	if err := v.admit(u); err != nil {
		return Upload{}, err
	}
	// The file first: a record always has its file, and a file without a record
	// is an empty one.
	if err := v.dir.create(partName(u)); err != nil {
		v.release(u.ID)
		return Upload{}, v.unable(ctx, u, err)
	}
	if err := v.records.CreateUpload(ctx, u); err != nil {
		v.release(u.ID)
		return Upload{}, errors.Join(fmt.Errorf("keep upload %s: %w", u.ID, err), v.dir.remove(partName(u)))
	}
	return u, nil
}

func newID() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// admit counts a new upload, unless there are too many.
func (v *Vault) admit(u Upload) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.per[u.Device] >= v.limits.PerDevice {
		v.refused.device.Add(1)
		return fault.TooMany.Errorf(nil, "The device has %d uploads open, as many as it may", v.limits.PerDevice)
	}
	if len(v.open) >= v.limits.Open {
		v.refused.all.Add(1)
		return fault.TooMany.Errorf(nil, "The server has as many uploads open as it takes")
	}
	v.countLocked(u)
	return nil
}

func (v *Vault) count(u Upload) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.countLocked(u)
}

func (v *Vault) countLocked(u Upload) {
	v.open[u.ID] = u.Device
	v.per[u.Device]++
}

// Stats is how many uploads receive, and what was refused since the start.
type Stats struct {
	Open      int   // now
	Most      int   // that may be
	PerDevice int64 // uploads refused because their device had too many
	InAll     int64 // uploads refused because there were too many
	Unable    int64 // times that bytes could not be kept
}

// Stats returns the present figures.
func (v *Vault) Stats() Stats {
	v.mu.Lock()
	defer v.mu.Unlock()
	return Stats{
		Open: len(v.open), Most: v.limits.Open,
		PerDevice: v.refused.device.Load(), InAll: v.refused.all.Load(), Unable: v.refused.unable.Load(),
	}
}

// release takes an upload that no longer receives off the count.
func (v *Vault) release(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	dev, ok := v.open[id]
	if !ok {
		return
	}
	delete(v.open, id)
	if v.per[dev]--; v.per[dev] == 0 {
		delete(v.per, dev)
	}
}

// unable tells the log why bytes could not be kept, and the caller to come again.
func (v *Vault) unable(ctx context.Context, u Upload, cause error) error {
	v.refused.unable.Add(1)
	v.log.ErrorContext(ctx, "bytes of an upload can't be kept", "upload", u.ID, "action", u.Action, "device", u.Device, "err", cause)
	return fault.Unavailable.Errorf(cause, "The server can't keep the upload's bytes now; send them again later")
}

// Upload returns an upload's record.
func (v *Vault) Upload(ctx context.Context, id string) (Upload, error) {
	return v.records.Upload(ctx, id)
}

// UploadsOf returns the uploads of an action, by attempt.
func (v *Vault) UploadsOf(ctx context.Context, tenant, action string) ([]Upload, error) {
	return v.records.UploadsOf(ctx, tenant, action)
}

// UploadsIn returns uploads in a state, at most limit, the oldest first.
func (v *Vault) UploadsIn(ctx context.Context, state State, limit int) ([]Upload, error) {
	return v.records.UploadsIn(ctx, state, limit)
}

// Content is an upload's bytes, as far as they were acknowledged.
type Content struct {
	*io.SectionReader
	file *os.File
}

// Close ends the reading.
func (c Content) Close() error { return c.file.Close() }

// Open opens an upload's bytes for reading. Bytes that were deleted are
// fault.NotFound; bytes that should be there and are not are an error without a
// code, which the log tells of.
func (v *Vault) Open(ctx context.Context, id string) (Content, error) {
	u, err := v.records.Upload(ctx, id)
	if err != nil {
		return Content{}, err
	}
	f, err := v.dir.read(u)
	if err != nil {
		return Content{}, err
	}
	return Content{SectionReader: io.NewSectionReader(f, 0, u.Offset), file: f}, nil
}

// read opens an upload's bytes where they are, which may be one step ahead of
// what the record says.
func (d directory) read(u Upload) (*os.File, error) {
	var in []string
	switch u.State {
	case Receiving, Complete, Partial:
		in = []string{partName(u), quarantineName(u)}
		if u.SHA256 != "" {
			in = append(in, packageName(u))
		}
	case Sealed:
		in = []string{packageName(u)}
	case Quarantined:
		in = []string{quarantineName(u), partName(u)}
	default:
		return nil, fault.NotFound.Errorf(nil, "The bytes of upload %s were deleted", u.ID)
	}
	f, err := d.open(in...)
	if err != nil {
		return nil, fmt.Errorf("open upload %s of action %s: %w", u.ID, u.Action, err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() < u.Offset {
		err = fmt.Errorf("%w: upload %s of action %s has %d bytes, %d were acknowledged", errLost, u.ID, u.Action, info.Size(), u.Offset)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
