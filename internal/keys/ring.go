package keys

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Recent is how long after its end a key still verifies what is short-lived:
// longer than any link or nonce. For access tokens see [TokenOverlap].
const Recent = 24 * time.Hour

// Store keeps keys; *store.Store satisfies it.
type Store interface {
	Keys(ctx context.Context) ([]Record, error)
	AddKey(ctx context.Context, r Record) error
}

// Config is what a ring is made from.
type Config struct {
	Store     Store
	Dir       string // where MasterFile lies
	MasterKey string // the value of SWAB_MASTER_KEY; "" for the file
	Now       func() time.Time

	// Recovery is given the private half of the recovery key, once, when it is
	// made and before its public half is kept: it must have put it where it
	// lasts when it returns nil. If the start ends in between, the next one
	// makes another key and calls it again.
	Recovery func(ed25519.PrivateKey) error
}

// Ring is the server's keys, open. It changes only by what [Ring.Reload] finds
// in the store, and is safe for concurrent use.
type Ring struct {
	now    func() time.Time
	store  Store
	master Master
	keys   atomic.Pointer[[]key] // newest first; what it points to never changes

	reading sync.Mutex // one reader of the store at a time
	asked   time.Time  // when an unknown key last made [Ring.Refresh] read
}

// key is an opened record. Of the four private forms one is set, by purpose;
// the recovery key has none.
type key struct {
	Record
	signer    ed25519.PrivateKey
	rsa       *rsa.PrivateKey
	authority *authority
	secret    []byte
}

// Open opens the keys in the store and makes those that are missing. On the
// first start, when there are none at all, it makes the master key too. A
// master key that doesn't open them is [ErrMaster], one that is missing
// [ErrNoMaster]; neither changes anything.
func Open(ctx context.Context, c Config) (*Ring, error) {
	records, err := c.Store.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the server's keys: %w", err)
	}
	master, err := LoadMaster(c.Dir, c.MasterKey, len(records) == 0)
	if err != nil {
		return nil, err
	}
	ring, opened := &Ring{now: c.Now, store: c.Store, master: master}, []key{}
	for _, r := range records {
		k, err := unseal(r, master)
		if err != nil {
			return nil, err
		}
		opened = append(opened, k)
	}
	for _, p := range []Purpose{AccessToken, AuditLog, Receipt, Link, Nonce, SignIn, Authority, Recovery} {
		if slices.ContainsFunc(opened, func(k key) bool { return k.Purpose == p }) {
			continue
		}
		k, err := generate(p, c.Now(), master)
		if err != nil {
			return nil, fmt.Errorf("make the %s key: %w", p, err)
		}
		if p == Recovery {
			if err := c.Recovery(k.signer); err != nil {
				return nil, fmt.Errorf("put away the recovery key: %w", err)
			}
			k.signer = nil
		}
		if err := c.Store.AddKey(ctx, k.Record); err != nil {
			return nil, fmt.Errorf("keep the %s key: %w", p, err)
		}
		opened = append(opened, k)
	}
	ring.keep(opened)
	for _, p := range []Purpose{AccessToken, AuditLog, Receipt, Link, Nonce, SignIn, Authority} {
		if _, ok := ring.current(p); !ok {
			return nil, fmt.Errorf("no %s key is in use at %s: all have ended or are still to come; look at this machine's clock",
				p, c.Now().UTC().Format(time.RFC3339))
		}
	}
	return ring, nil
}

// keep makes opened the ring's keys.
func (r *Ring) keep(opened []key) {
	slices.SortStableFunc(opened, func(a, b key) int { return b.From.Compare(a.From) })
	r.keys.Store(&opened)
}

// current is the newest key of a purpose that is in use.
func (r *Ring) current(p Purpose) (key, bool) {
	now := r.now()
	for _, k := range *r.keys.Load() {
		if k.Purpose == p && !now.Before(k.From) && (k.To.IsZero() || now.Before(k.To)) {
			return k, true
		}
	}
	return key{}, false
}

// must is current for a purpose that Open saw to. A clock that was set back
// behind the first key's start must not stop a server that runs: the oldest
// key serves then.
func (r *Ring) must(p Purpose) key {
	if k, ok := r.current(p); ok {
		return k
	}
	var last key
	for _, k := range *r.keys.Load() {
		if k.Purpose == p && !k.withdrawn() {
			last = k
		}
	}
	return last
}

// recent are the keys of a purpose that still verify what is short-lived, those
// that are still to come included: another node's clock may be ahead.
func (r *Ring) recent(p Purpose) []key {
	now := r.now()
	return slices.DeleteFunc(slices.Clone(*r.keys.Load()), func(k key) bool { return k.Purpose != p || !k.verifies(now) })
}

// LogKey signs checkpoints.
func (r *Ring) LogKey() ed25519.PrivateKey { return r.must(AuditLog).signer }

// ReceiptKey signs receipts.
func (r *Ring) ReceiptKey() ed25519.PrivateKey { return r.must(Receipt).signer }

// PublicLogKey is the key that devices pin for checkpoints.
func (r *Ring) PublicLogKey() ed25519.PublicKey { return r.must(AuditLog).Public }

// PublicReceiptKey is the key by which receipts are checked.
func (r *Ring) PublicReceiptKey() ed25519.PublicKey { return r.must(Receipt).Public }

// PublicRecoveryKey is the key that devices pin for a log restored from a backup.
func (r *Ring) PublicRecoveryKey() ed25519.PublicKey { return r.must(Recovery).Public }

// MAC is the HMAC-SHA-256 over data by the present key of a symmetric purpose.
func (r *Ring) MAC(p Purpose, data []byte) []byte { return sum(r.must(p), data) }

// CheckMAC says, in constant time for each key, whether mac is that of data by
// a key of the purpose that is in use or ended a short while ago.
func (r *Ring) CheckMAC(p Purpose, data, mac []byte) bool {
	ok := false
	for _, k := range r.recent(p) {
		if k.secret != nil && hmac.Equal(sum(k, data), mac) {
			ok = true
		}
	}
	return ok
}

func sum(k key, data []byte) []byte {
	if k.secret == nil {
		panic("keys: " + string(k.Purpose) + " is not a purpose for a MAC")
	}
	h := hmac.New(sha256.New, k.secret)
	h.Write(data)
	return h.Sum(nil)
}

// generate makes a key and its record.
func generate(p Purpose, now time.Time, master Master) (key, error) {
	k := key{Record: Record{Purpose: p, From: now.UTC().Truncate(time.Microsecond)}}
	var private []byte
	switch p {
	case AccessToken:
		var err error
		if k.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return key{}, err
		}
		if k.Public, err = x509.MarshalPKIXPublicKey(&k.rsa.PublicKey); err != nil {
			return key{}, err
		}
		if private, err = x509.MarshalPKCS8PrivateKey(k.rsa); err != nil {
			return key{}, err
		}
	case AuditLog, Receipt, Recovery:
		pub, signer, err := ed25519.GenerateKey(nil)
		if err != nil {
			return key{}, err
		}
		k.Public, k.signer, private = pub, signer, signer.Seed()
	case Authority:
		var err error
		if k.authority, err = newAuthority(now); err != nil {
			return key{}, err
		}
		k.Public = k.authority.certificate.Raw
		if private, err = x509.MarshalPKCS8PrivateKey(k.authority.key); err != nil {
			return key{}, err
		}
	case Link, Nonce, SignIn:
		k.secret = make([]byte, 32)
		rand.Read(k.secret) // never fails (crypto/rand)
		private = k.secret
	default:
		return key{}, fmt.Errorf("no key is known for the purpose %q", p)
	}
	if k.Public != nil {
		id := sha256.Sum256(k.Public)
		k.ID = hex.EncodeToString(id[:])
	} else {
		id := make([]byte, 16)
		rand.Read(id)
		k.ID = hex.EncodeToString(id)
	}
	if p != Recovery {
		k.Sealed = master.seal(p, k.ID, private)
	}
	return k, nil
}

// unseal opens a record and holds its halves against one another: the public
// one is not sealed, and is what devices and clients are told.
func unseal(r Record, master Master) (key, error) {
	k := key{Record: r}
	flaw := func(err error) error {
		return fmt.Errorf("the store's record of the %s key %.16s is not as it was made: %w", r.Purpose, r.ID, err)
	}
	if r.Purpose == Recovery {
		if len(r.Public) != ed25519.PublicKeySize {
			return k, flaw(errors.New("not an Ed25519 key"))
		}
		return k, nil
	}
	private, err := master.open(r)
	if err != nil {
		return k, err
	}
	switch r.Purpose {
	case AccessToken:
		parsed, err := x509.ParsePKCS8PrivateKey(private)
		if err != nil {
			return k, flaw(err)
		}
		var ok bool
		if k.rsa, ok = parsed.(*rsa.PrivateKey); !ok {
			return k, flaw(errors.New("not an RSA key"))
		}
		public, err := x509.MarshalPKIXPublicKey(&k.rsa.PublicKey)
		if err != nil {
			return k, flaw(err)
		}
		if !slices.Equal(public, r.Public) {
			return k, flaw(errors.New("its halves don't belong together"))
		}
	case AuditLog, Receipt:
		if len(private) != ed25519.SeedSize {
			return k, flaw(errors.New("not an Ed25519 key"))
		}
		k.signer = ed25519.NewKeyFromSeed(private)
		if !k.signer.Public().(ed25519.PublicKey).Equal(ed25519.PublicKey(r.Public)) {
			return k, flaw(errors.New("its halves don't belong together"))
		}
	case Authority:
		if k.authority, err = openAuthority(r.Public, private); err != nil {
			return k, flaw(err)
		}
	case Link, Nonce, SignIn:
		k.secret = private
	default:
		return k, flaw(errors.New("this program knows no such purpose; it may be older than the store"))
	}
	return k, nil
}
