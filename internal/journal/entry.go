package journal

import (
	"time"

	"github.com/capebase/capebase/internal/predicate"
)

// Mark is a place in the journal: a position, and a number that tells this history from another one with the same
// positions, such as that of a restored backup. The zero Mark is the place before the first entry.
type Mark struct {
	Position int64
	Nonce    uint64
}

// Op is what happened to a row.
type Op uint8

// The operations. A REPLACE, and an update that changes the key, are a Delete and an Insert.
const (
	Insert Op = iota + 1
	Update
	Delete
	// Secret is an update that changed secret columns alone: its images are equal. It is of interest to the audit only.
	Secret
	// Gap says that changes of the table may be missing from the journal: of all tables where Table is -1.
	Gap
)

// String returns the operation's name.
func (o Op) String() string {
	names := [...]string{"NONE", "INSERT", "UPDATE", "DELETE", "SECRET", "GAP"}
	if int(o) < len(names) {
		return names[o]
	}
	return "OP"
}

// AllTables is the Table of a gap that is not one table's alone, and of entries of tables that Open was not given.
const AllTables = -1

// Entry is one committed change of a row.
type Entry struct {
	// Mark's positions have no holes, count over all tables, are the same on every node, and are in commit order: of two
	// changes of a row, the later one has the higher position.
	Mark
	// Source is the database's own number of what the entry belongs to, for the Seen of a Snapshot.
	Source uint64
	// Tx is equal for the entries of one transaction, and "" where that is not known.
	Tx    string
	Time  time.Time // of the statement, by the database's clock, in UTC
	Table int       // index of the model given to Open, or AllTables
	Name  string    // the table's name as recorded; "" in a gap of all tables
	Op    Op
	Key   string // the key's columns as a JSON array
	// Before and After are the row's images, with a value for each of the model's columns: NULL for those that are secret
	// or that the row did not have yet. They are nil where there was no row. Nobody changes them.
	Before, After []predicate.Value
	Actor         Actor
	User          string // of the database; "" on SQLite, which has none
}

// Actor is who made a change. It is what the writing program said; the zero Actor is a program that says nothing, which
// is what raw SQL does.
type Actor struct {
	ID         string   `json:"id,omitempty"`
	Roles      []string `json:"roles,omitempty"`
	Session    string   `json:"session,omitempty"`
	Request    string   `json:"request,omitempty"` // the id of the HTTP request
	Address    string   `json:"address,omitempty"` // of the client
	UserAgent  string   `json:"user_agent,omitempty"`
	Trace      string   `json:"trace,omitempty"` // what Stamp.Trace said
	Privileged bool     `json:"privileged,omitempty"`
	Reason     string   `json:"reason,omitempty"` // given to auth.Privileged
}
