package hub

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/capebase/capebase/internal/predicate"
)

// Mark is where a stream stands: at a position of the journal, which is the same on every node, and with the nonce that
// tells this history from another one with the same positions.
type Mark struct {
	Position int64
	Nonce    uint64
}

// AllTables is the Table of a gap that is not one table's alone.
const AllTables = -1

// Event is one committed change, decoded once for all subscribers, or a gap in the journal. Nobody changes it or its
// rows after it was published.
type Event struct {
	Mark
	// Source is what the journal knows the change by besides its position, such as a transaction. It is handed on to
	// messages, for subscribers that must leave out what their snapshot has seen.
	Source uint64
	Table  int
	Time   time.Time
	// Before and After are the row's images, with a value for each column of the table; nil where there was no row.
	Before, After []predicate.Value
	// Gap says that changes of Table, or of AllTables, may be missing. There are no images.
	Gap bool
}

// size estimates the memory that e keeps.
func (e *Event) size() int {
	const event, value = 160, 32
	size := event + value*(len(e.Before)+len(e.After))
	for _, v := range e.Before {
		size += len(v.Content())
	}
	for _, v := range e.After {
		size += len(v.Content())
	}
	return size
}

// Kind is what an event is to a subscriber.
type Kind uint8

// The kinds. Reset is a gap: the subscriber may have missed changes.
const (
	None Kind = iota
	Insert
	Update
	Delete
	Reset
)

// String returns the name that clients see.
func (k Kind) String() string {
	names := [...]string{"NONE", "INSERT", "UPDATE", "DELETE", "RESET"}
	if int(k) < len(names) {
		return names[k]
	}
	return "KIND"
}

// Encoding writes changes for clients. The hub calls it from several goroutines, with its locks held: it must not call
// the hub.
type Encoding interface {
	// ID tells encodings apart: those with the same ID write the same bytes, which are then shared.
	ID() string
	// Encode returns the message for a row that was inserted or updated (After), or deleted (Before). Nobody changes
	// the bytes later.
	Encode(kind Kind, row []predicate.Value, e *Event) []byte
	// Same tells whether clients see no difference between the two images; the update is then not sent.
	Same(before, after []predicate.Value) bool
}

// Shape is what a subscriber wants to see: the rows of Table for which Visible holds, written by Encoding.
type Shape struct {
	Table int
	// Visible is all in one: the rule, the client's filter, and that the row is not soft-deleted. It must be folded: a
	// node that still speaks of the caller matches nothing.
	Visible  *predicate.Expr
	Encoding Encoding
}

// Identity is equal for two shapes only if they show the same, whoever asks; equal shapes share their work.
type Identity [sha256.Size]byte

// Identity returns s's.
func (s Shape) Identity() Identity {
	view := s.view()
	return sha256.Sum256(append(view[:], s.Encoding.ID()...))
}

// view identifies the rows, without the encoding.
func (s Shape) view() Identity {
	b := binary.AppendVarint(make([]byte, 0, 128), int64(s.Table))
	return sha256.Sum256(predicate.AppendIdentity(b, s.Visible))
}

// Message is an event as one of a subscription's shapes sees it.
type Message struct {
	Mark
	Source uint64
	Data   []byte // of the encoding, nil for Reset; shared with other subscribers: read only
	Shape  int32  // its index among the subscription's
	Kind   Kind
}

// size is what m counts for in a queue.
func (m *Message) size() int {
	const message = 64
	return message + len(m.Data)
}
