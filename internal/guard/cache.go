package guard

import "sync"

// known is the names of a database and the statements that were analyzed with them.
type known struct {
	*names
	mu         sync.RWMutex
	statements map[string]*statement
	size       int // of the texts
}

const (
	maxKnown     = 4096
	maxKnownSize = 4 << 20 // bytes of text
	maxKnownText = 64 << 10
)

func newKnown(n *names) *known { return &known{names: n, statements: map[string]*statement{}} }

// statement returns what is known of a text. What is refused is analyzed anew each time.
func (k *known) statement(query string) (*statement, error) {
	k.mu.RLock()
	st := k.statements[query]
	k.mu.RUnlock()
	if st != nil {
		return st, nil
	}
	st, err := k.parse(query)
	if err != nil || len(query) > maxKnownText {
		return st, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.statements) >= maxKnown || k.size+len(query) > maxKnownSize {
		// Programs have few statements; one that makes new ones all the time gains nothing from any of them.
		clear(k.statements)
		k.size = 0
	}
	k.statements[query] = st
	k.size += len(query)
	return st, nil
}
