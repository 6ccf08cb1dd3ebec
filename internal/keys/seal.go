package keys

import "fmt"

// Seal seals a secret that belongs to something else than a key, such as the
// secret of a person's one-time codes, under the master key. What kind of secret
// it is and whose, kind and id, are bound to it: in another's place it is worth
// nothing. It is for secrets that are kept, thousands of them and not billions.
func (r *Ring) Seal(kind, id string, secret []byte) []byte {
	return r.master.aead.Seal(nil, nil, secret, sealedFor(kind, id))
}

// Unseal opens what Seal made for the same kind and id.
func (r *Ring) Unseal(kind, id string, sealed []byte) ([]byte, error) {
	secret, err := r.master.aead.Open(nil, nil, sealed, sealedFor(kind, id))
	if err != nil {
		return nil, fmt.Errorf("%w, or the store's %s of %.80s was changed", ErrMaster, kind, id)
	}
	return secret, nil
}

// sealedFor is additional for a secret that is no key. The first lines differ, so
// neither is ever taken for the other.
func sealedFor(kind, id string) []byte {
	return []byte("swab.secret/1\n" + kind + "\n" + id)
}
