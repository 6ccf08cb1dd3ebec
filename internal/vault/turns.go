package vault

import "sync"

// turns lets one at a time do something about an upload: what the record says
// and where the bytes are change one after the other, and nobody may come in
// between.
type turns struct {
	mu sync.Mutex
	of map[string]*turn
}

type turn struct {
	sync.Mutex
	users int // who have it or wait for it
}

// take waits for the turn of one name and returns what gives it back.
func (t *turns) take(name string) (done func()) {
	t.mu.Lock()
	if t.of == nil {
		t.of = map[string]*turn{}
	}
	own := t.of[name]
	if own == nil {
		own = &turn{}
		t.of[name] = own
	}
	own.users++
	t.mu.Unlock()
	own.Lock()
	return func() {
		own.Unlock()
		t.mu.Lock()
		defer t.mu.Unlock()
		if own.users--; own.users == 0 {
			delete(t.of, name)
		}
	}
}
