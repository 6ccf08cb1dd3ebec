package auth

import "sync"

// maxShared bounds the tokens of one second that are remembered: what is asked
// for beyond is signed for itself.
const maxShared = 4096

// shared are the tokens that were signed in the present second. Two tokens for
// the same application, resource and issuer, signed in the same second, would
// differ in their id alone: one signature serves both.
type shared struct {
	mu     sync.Mutex
	second int64
	by     map[shareKey]*signature
}

// shareKey is all that a token says but its id. Its times follow from second.
type shareKey struct {
	second int64
	kid    string
	claims sharedClaims
}

// sharedClaims is what differs between the tokens of a second.
type sharedClaims struct{ audience, issuer, tenant, app, name, proof, roles string }

type signature struct {
	once  sync.Once
	token string
	err   error
}

// get returns the token of key, made by sign unless it was made already.
func (s *shared) get(key shareKey, sign func() (string, error)) (string, error) {
	s.mu.Lock()
	if s.second != key.second { // the clock went on, or back
		s.second, s.by = key.second, map[shareKey]*signature{}
	}
	one, ok := s.by[key]
	if !ok && len(s.by) < maxShared {
		one = &signature{}
		s.by[key] = one
	}
	s.mu.Unlock()
	if one == nil {
		return sign()
	}
	one.once.Do(func() { one.token, one.err = sign() })
	return one.token, one.err
}
