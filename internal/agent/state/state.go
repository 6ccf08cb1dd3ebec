// Package state keeps what an agent must not forget in one file of fixed size:
// its key, what it pinned when it enrolled, the last head of the audit log that
// was proved to it, and the last actions it did.
//
// The file is the only one that an agent opens for writing. All its blocks are
// written when it is made, before the device's key is used for anything, so a
// disk that is full later stops nothing. From then on a change overwrites, in
// place, one slot of a pair: the older one, with a checksum and the next
// sequence number, flushed before the call returns. Wherever the power goes
// during that, the other slot still holds the state before.
//
//	block   at (KiB)   what
//	header  0          that this is such a file; written last when it is made
//	A, B    4, 52      Identity, 48 KiB each: room for a chain of device.MaxKeys keys
//	A, B    100, 104   Progress, 4 KiB each: one page, so one action costs two pages
//
// Of a slot the pages are written that hold something, or did. A key that succeeds
// another is written when it is made, and twice when it takes that one's place.
//
// A slot is SHA-256 over the rest of it up to its length, sequence number
// (8 bytes) and length (4 bytes, both big-endian), and so many bytes of
// canonical JSON.
//
// The folder must belong to the agent's user and to nobody else, and neither it
// nor the file may be a link: whoever can write there could hand the agent
// another key, and whoever can read there has the device's.
package state

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"swab/internal/audit"
	"swab/internal/canon"
	"swab/internal/device"
)

// Name is the file's name in its folder.
const Name = "agent.state"

// Identity is who the device is and whom it trusts.
type Identity struct {
	Seed       []byte   `json:"seed"`       // of the Ed25519 key that signs now
	Enrolment  []byte   `json:"enrolment"`  // the first public key, whose hash is the device id
	Statements [][]byte `json:"statements"` // of succession, from Enrolment to Seed's key
	Pins       *Pins    `json:"pins"`       // nil until enrolled

	// Next is the key to come: it signs nothing but the word of itself until the
	// server is known to have taken it. nil: none is on its way.
	Next *Next `json:"next,omitempty"`
}

// Next is a key that is to succeed the present one.
type Next struct {
	Seed      []byte `json:"seed"`
	Statement []byte `json:"statement"` // by the present key, that this one follows it
}

// Key is the key to come.
func (n Next) Key() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(n.Seed) }

// Pins is what the server's answer to enrolment fixed for good.
type Pins struct {
	Tenant      string `json:"tenant"`
	LogKey      []byte `json:"logKey"`      // Ed25519: signs checkpoints
	ReceiptKey  []byte `json:"receiptKey"`  // Ed25519: signs receipts
	RecoveryKey []byte `json:"recoveryKey"` // Ed25519: signs a rebase of the log
}

// Key is the key that signs for the device now.
func (i Identity) Key() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(i.Seed) }

// Device is the device's id.
func (i Identity) Device() device.ID { return device.IDOf(i.Enrolment) }

// succeeded is the identity once its next key is the present one.
func (i Identity) succeeded() Identity {
	i.Seed, i.Statements, i.Next = i.Next.Seed, append(slices.Clip(i.Statements), i.Next.Statement), nil
	return i
}

func (i Identity) check() error {
	if len(i.Seed) != ed25519.SeedSize {
		return fmt.Errorf("key has %d bytes, want %d", len(i.Seed), ed25519.SeedSize)
	}
	keys, err := device.Chain(i.Enrolment, i.Statements)
	if err != nil {
		return err
	}
	if !keys[len(keys)-1].Equal(i.Key().Public()) {
		return errors.New("key is not the one that ends the device's chain of keys")
	}
	if i.Next != nil {
		if err := i.succeeded().check(); err != nil {
			return fmt.Errorf("next key: %w", err)
		}
	}
	if i.Pins == nil {
		return nil
	}
	for _, k := range [][]byte{i.Pins.LogKey, i.Pins.ReceiptKey, i.Pins.RecoveryKey} {
		if len(k) != ed25519.PublicKeySize {
			return errors.New("a pinned key is not an Ed25519 public key")
		}
	}
	return nil
}

// Progress is what the device has seen and done.
type Progress struct {
	Head    audit.Head `json:"head"`    // of the audit log, as last proved
	Seen    string     `json:"seen"`    // the server's time then, canon.TimeFormat; "" before the first
	Rebase  int64      `json:"rebase"`  // number of the last rebase of the log that was accepted; 0 before the first
	Actions []Action   `json:"actions"` // the last MaxActions that were begun, the newest last
}

// Action is an action that the device began.
type Action struct {
	ID      string `json:"id"`
	Attempt int    `json:"attempt"` // the last one begun
	Ended   bool   `json:"ended"`   // for good: never to be begun again
}

// MaxActions bounds the actions that are remembered.
const MaxActions = 16

// SeenTime is Seen, or the zero time.
func (p Progress) SeenTime() time.Time {
	t, err := canon.ParseTime(p.Seen)
	if err != nil {
		return time.Time{}
	}
	return t
}

// Action returns what is known of an action.
func (p Progress) Action(id string) (Action, bool) {
	i := slices.IndexFunc(p.Actions, func(a Action) bool { return a.ID == id })
	if i < 0 {
		return Action{}, false
	}
	return p.Actions[i], true
}

func (p Progress) check() error {
	if p.Head.Size < 0 || p.Rebase < 0 || len(p.Actions) > MaxActions {
		return errors.New("progress is out of its bounds")
	}
	if p.Seen != "" {
		if _, err := canon.ParseTime(p.Seen); err != nil {
			return err
		}
	}
	return nil
}

var (
	errLocked  = errors.New("another agent uses it; stop that one, or name another folder")
	errNotFile = errors.New("it is a link, or no regular file of one name; move it away")
)

// State is an open state file. It is safe for concurrent use.
type State struct {
	file file
	path string

	mu       sync.Mutex
	identity Identity
	progress Progress
	turns    [2]turn // of the pairs: identity, progress
}

// Open opens the state in dir for one agent alone, and makes folder, file and a
// new device key where there are none. It fails while another agent has it open.
func Open(dir string) (*State, error) {
	f, err := openFile(dir, true)
	if err != nil {
		return nil, fmt.Errorf("agent state: %w", err)
	}
	s, err := openOn(f, f.Name())
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("agent state %s: %w", f.Name(), err)
	}
	return s, nil
}

// ReadIdentity reads the identity in dir without taking it from an agent that
// runs: it opens nothing for writing.
func ReadIdentity(dir string) (Identity, error) {
	f, err := openFile(dir, false)
	if err != nil {
		return Identity{}, fmt.Errorf("agent state: %w", err)
	}
	defer f.Close()
	var s State
	if err := s.load(f); err != nil {
		return Identity{}, fmt.Errorf("agent state %s: %w", f.Name(), err)
	}
	return s.identity, nil
}

// openOn opens the state on an open file that nobody else has.
func openOn(f file, path string) (*State, error) {
	s := &State{file: f, path: path}
	made, err := isMade(f)
	if err != nil {
		return nil, err
	}
	if !made {
		if err := s.make(); err != nil {
			return nil, err
		}
	}
	return s, s.load(f)
}

// make writes a new key and every block of the file, the header last.
func (s *State) make() error {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return fmt.Errorf("make a device key: %w", err)
	}
	return format(s.file, Identity{Seed: key.Seed(), Enrolment: pub}, Progress{})
}

func (s *State) load(f reader) (err error) {
	if err := checkHeader(f); err != nil {
		return err
	}
	if s.turns[0], err = identitySlots.read(f, &s.identity); err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	if err := s.identity.check(); err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	if s.turns[1], err = progressSlots.read(f, &s.progress); err != nil {
		return fmt.Errorf("progress: %w", err)
	}
	if err := s.progress.check(); err != nil {
		return fmt.Errorf("progress: %w", err)
	}
	return nil
}

// Path is where the file lies.
func (s *State) Path() string { return s.path }

// Close gives the file free for another agent.
func (s *State) Close() error { return s.file.Close() }

// Identity returns the device's identity.
func (s *State) Identity() Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.identity
}

// Progress returns what the device has seen and done.
func (s *State) Progress() Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.progress
	p.Actions = slices.Clone(p.Actions)
	return p
}

// ErrPinned is returned where a server names other keys than those pinned.
var ErrPinned = errors.New("the server is not the one that this device is enrolled with")

// Enrolled pins what the server's answer to enrolment said. Pinning the same
// again does nothing; anything else is ErrPinned.
func (s *State) Enrolled(p Pins) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.identity.Pins; old != nil {
		if !old.equal(p) {
			return ErrPinned
		}
		return nil
	}
	next := s.identity
	next.Pins = &p
	return s.become(next)
}

func (p Pins) equal(q Pins) bool {
	return p.Tenant == q.Tenant && slices.Equal(p.LogKey, q.LogKey) &&
		slices.Equal(p.ReceiptKey, q.ReceiptKey) && slices.Equal(p.RecoveryKey, q.RecoveryKey)
}

// ErrKeys is returned for a device that has had as many keys as a chain can hold.
var ErrKeys = fmt.Errorf("this device has had %d keys, and no more fit its chain; enrol it anew", device.MaxKeys)

// Succeed makes the key that is to succeed the present one, or finds the one that
// was made before: once made, it is the one that comes, however often the server
// has to be told of it.
func (s *State) Succeed() (Identity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.identity.Next != nil {
		return s.identity, nil
	}
	number := len(s.identity.Statements) + 1
	if number >= device.MaxKeys {
		return s.identity, ErrKeys
	}
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return s.identity, fmt.Errorf("make the next device key: %w", err)
	}
	statement, err := device.Succeed(s.identity.Device(), number, pub, s.identity.Key())
	if err != nil {
		return s.identity, err
	}
	next := s.identity
	next.Next = &Next{Seed: key.Seed(), Statement: statement}
	err = s.become(next)
	return s.identity, err
}

// Succeeded makes the next key the present one, since the server has taken it, and
// overwrites both slots, so that the key before is nowhere in the file any more.
// Where none is on its way it does nothing.
func (s *State) Succeeded() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.identity.Next == nil {
		return nil
	}
	if err := s.become(s.identity.succeeded()); err != nil {
		return err
	}
	return s.become(s.identity)
}

// become writes an identity and goes by it from then on.
func (s *State) become(next Identity) error {
	if err := next.check(); err != nil {
		return err
	}
	if err := identitySlots.write(s.file, &s.turns[0], next); err != nil {
		return fmt.Errorf("agent state %s: %w", s.path, err)
	}
	s.identity = next
	return nil
}

// Begin records that an attempt of an action is begun, under the head that
// proved it and at the server's time, which may be zero where it is not known.
// The oldest action is forgotten for a new one beyond MaxActions.
func (s *State) Begin(id string, attempt int, head audit.Head, server time.Time) error {
	return s.change(func(p *Progress) bool {
		p.Head = head
		if server.After(p.SeenTime()) {
			p.Seen = canon.FormatTime(server)
		}
		p.Actions = slices.DeleteFunc(p.Actions, func(a Action) bool { return a.ID == id })
		if len(p.Actions) >= MaxActions {
			p.Actions = p.Actions[len(p.Actions)-MaxActions+1:]
		}
		p.Actions = append(p.Actions, Action{ID: id, Attempt: attempt})
		return true
	})
}

// Rebase records that the log goes on from a head, whatever the device has seen
// of it, by the rebase of that number.
func (s *State) Rebase(head audit.Head, number int64) error {
	return s.change(func(p *Progress) bool {
		p.Head, p.Rebase = head, number
		return true
	})
}

// End records that an action has ended for good. For one that is not known, or
// known as ended, nothing is written.
func (s *State) End(id string) error {
	return s.change(func(p *Progress) bool {
		i := slices.IndexFunc(p.Actions, func(a Action) bool { return a.ID == id && !a.Ended })
		if i < 0 {
			return false
		}
		p.Actions[i].Ended = true
		return true
	})
}

func (s *State) change(f func(*Progress) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.progress
	next.Actions = slices.Clone(next.Actions)
	if !f(&next) {
		return nil
	}
	if err := progressSlots.write(s.file, &s.turns[1], next); err != nil {
		return fmt.Errorf("agent state %s: %w", s.path, err)
	}
	s.progress = next
	return nil
}

// handle is an open state file of the operating system.
type handle struct{ *os.File }

func (h handle) Size() (int64, error) {
	st, err := h.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// PathIn is where the file of the state in dir lies.
func PathIn(dir string) string { return filepath.Join(filepath.Clean(dir), Name) }
