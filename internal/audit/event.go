package audit

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
)

// Event is what is recorded that is no change of a row. Who did it is the context's to say.
type Event struct {
	Kind     string            // such as "report-exported": 1 to 64 lower-case letters, digits, '-' and '.'
	Resource string            // the published one that it is about, by its name in entries; may be ""
	Key      string            // of the row that it is about, as in its URL; may be ""
	Detail   map[string]string // whatever else there is to say, at most 8 KiB of it; no secrets
	// Fold makes one entry with a Count of the equal events of a caller within a minute, and does not wait for it to be
	// written. It is for what others can make happen as often as they like.
	Fold bool
}

const (
	maxKind   = 64
	maxKey    = 1024
	maxDetail = 8 << 10
)

func validKind(kind string) bool {
	return kind != "" && len(kind) <= maxKind && !strings.ContainsFunc(kind, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
	})
}

// check tells what is wrong with an event.
func (e *Event) check(t *Trail) error {
	if !validKind(e.Kind) {
		return fmt.Errorf("capebase: audit event of kind %q: expected 1 to %d lower-case letters, digits, '-' and '.'", e.Kind, maxKind)
	}
	if e.Resource != "" {
		if _, known := slices.BinarySearch(t.names, e.Resource); !known {
			return fmt.Errorf("capebase: audit event %s: resource %q: expected one of %s", e.Kind, e.Resource, strings.Join(t.names, ", "))
		}
	}
	size := 0
	valid := predicate.ValidText(e.Key)
	for name, value := range e.Detail {
		size += len(name) + len(value)
		valid = valid && predicate.ValidText(name) && predicate.ValidText(value)
	}
	switch {
	case !valid:
		return fmt.Errorf("capebase: audit event %s: its key and details must be UTF-8 without NUL", e.Kind)
	case len(e.Key) > maxKey:
		return fmt.Errorf("capebase: audit event %s: its key has %d bytes, and at most %d are recorded", e.Kind, len(e.Key), maxKey)
	case size > maxDetail:
		return fmt.Errorf("capebase: audit event %s: its details have %d bytes, and at most %d are recorded", e.Kind, size, maxDetail)
	}
	return nil
}

// row is the model of the table of events. A row is inserted and deleted in one transaction: what remains is its entry in
// the journal, which is pruned as all others are.
type row struct {
	ID       string `gorm:"primaryKey;size:40"`
	Document string
}

const documentColumn = 1

// Model returns the model of the table of events on an engine.
func Model(d engine.Dialect) (*model.Model, error) {
	m, err := model.Parse(reflect.TypeFor[row](), schema.NamingStrategy{}, &sync.Map{})
	if err != nil {
		return nil, err
	}
	m.Table.Schema, m.Table.Name = journal.EventTable(d)
	return m, nil
}

// documentVersion is of the fields of a document.
const documentVersion = 1

// document is an event as it is stored.
type document struct {
	Version  int               `json:"v"`
	At       time.Time         `json:"at"`
	Kind     string            `json:"kind"`
	Resource string            `json:"resource,omitempty"`
	Key      string            `json:"key,omitempty"`
	Detail   map[string]string `json:"detail,omitempty"`
	Actor    journal.Actor     `json:"actor"`
	Count    int64             `json:"count,omitempty"`
}

func (d *document) parse(text string) bool {
	return json.Unmarshal([]byte(text), d) == nil && validKind(d.Kind)
}

// identity is equal for the events that may become one.
func (d *document) identity() string {
	from := ""
	if d.Actor.ID == "" {
		from = network(d.Actor.Address)
	}
	// Not by session: a caller can have any number of them.
	parts := []string{d.Kind, d.Resource, d.Key, d.Actor.ID, from}
	for _, name := range slices.Sorted(maps.Keys(d.Detail)) {
		parts = append(parts, name, d.Detail[name])
	}
	return strings.Join(parts, "\x00")
}

// network is what clients without an identity are told apart by: a client has 2^64 addresses of IPv6.
func network(address string) string {
	parsed, err := netip.ParseAddr(address)
	if err != nil || parsed.Is4() {
		return address
	}
	prefix, err := parsed.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}
