package sqldriver

import (
	"database/sql/driver"
	"errors"
	"sync"
)

// statement is one that a connection has prepared.
type statement struct {
	query   string
	driver  driver.Stmt
	busy    bool // a result is open: the statement cannot run again before that is closed
	cached  bool
	older   *statement
	younger *statement
}

// cache keeps the statements of one connection, and forgets what was not used for longest. The zero value is not ready.
type cache struct {
	size       int
	statements map[string]*statement
	ring       statement // its younger end is the oldest statement, its older end the youngest
}

func newCache(size int) *cache {
	c := &cache{size: size, statements: make(map[string]*statement)}
	c.ring.older, c.ring.younger = &c.ring, &c.ring
	return c
}

// take returns the statement, or nil when there is none or it is busy.
func (c *cache) take(query string) *statement {
	s := c.statements[query]
	if s == nil || s.busy {
		return nil
	}
	c.unlink(s)
	c.link(s)
	s.busy = true
	return s
}

// add takes a busy statement in, unless one of its text is there.
func (c *cache) add(s *statement) error {
	if c.statements[s.query] != nil {
		return nil
	}
	var err error
	if len(c.statements) >= c.size {
		err = c.drop(c.ring.younger)
	}
	s.cached = true
	c.statements[s.query] = s
	c.link(s)
	return err
}

// drop forgets a statement, and closes it unless it is busy.
func (c *cache) drop(s *statement) error {
	if s.cached {
		s.cached = false
		delete(c.statements, s.query)
		c.unlink(s)
	}
	if s.busy {
		return nil
	}
	return s.driver.Close()
}

// release ends the use of a statement, and closes it when the cache does not keep it.
func (c *cache) release(s *statement) error {
	s.busy = false
	if s.cached {
		return nil
	}
	return s.driver.Close()
}

func (c *cache) close() error {
	var err error
	for _, s := range c.statements {
		err = errors.Join(err, s.driver.Close())
	}
	clear(c.statements)
	return err
}

func (c *cache) link(s *statement) {
	s.older, s.younger = c.ring.older, &c.ring
	s.older.younger, c.ring.older = s, s
}

func (c *cache) unlink(s *statement) {
	s.older.younger, s.younger.older = s.younger, s.older
	s.older, s.younger = nil, nil
}

// known remembers texts that the database has accepted, so that each is checked once and not on each shell.
type known struct {
	mu    sync.Mutex
	texts map[string]struct{}
}

const maxKnown = 1024

func (k *known) has(text string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.texts[text]
	return ok
}

func (k *known) add(text string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.texts == nil || len(k.texts) >= maxKnown {
		k.texts = make(map[string]struct{})
	}
	k.texts[text] = struct{}{}
}
