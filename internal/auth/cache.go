package auth

import (
	"container/list"
	"crypto/sha256"
	"sync"
)

// cache remembers verified tokens by their hash, the most recently used ones.
// Only what was verified gets in, so that nobody without a token can push
// others out.
type cache struct {
	limit int

	mu    sync.Mutex
	order *list.List // of *entry, the latest first
	by    map[[sha256.Size]byte]*list.Element
}

type entry struct {
	sum [sha256.Size]byte
	v   *verified
}

func newCache(limit int) *cache {
	return &cache{limit: limit, order: list.New(), by: map[[sha256.Size]byte]*list.Element{}}
}

func (c *cache) get(sum [sha256.Size]byte) (*verified, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.by[sum]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*entry).v, true
}

func (c *cache) add(sum [sha256.Size]byte, v *verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.by[sum]; ok {
		c.order.MoveToFront(e)
		return
	}
	c.by[sum] = c.order.PushFront(&entry{sum, v})
	if c.order.Len() > c.limit {
		last := c.order.Back()
		delete(c.by, last.Value.(*entry).sum)
		c.order.Remove(last)
	}
}

// replace puts what was verified anew in the place of what was known.
func (c *cache) replace(sum [sha256.Size]byte, v *verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.by[sum]; ok {
		e.Value.(*entry).v = v
	}
}
