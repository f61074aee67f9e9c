package sqldriver

// Waiting is how many writes of UpdateGroup wait for their turn, the one that leads among them while it waits.
func (db *DB) Waiting() int {
	db.group.mu.Lock()
	defer db.group.mu.Unlock()
	if db.group.led {
		return len(db.group.waiting) + 1
	}
	return 0
}
