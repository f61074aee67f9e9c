package soak

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
)

// row is a row of any of the tables; what its table lacks is zero.
type row struct {
	key     string
	owner   string // or organisation
	level   int64
	score   float64
	public  bool
	deleted bool
	v       int64
	tx      string
	hidden  string
}

// rowID names a row of any table.
type rowID struct {
	table int
	key   string
}

// shown is what a client knows of a row.
type shown struct {
	v       int64
	tx      string
	payload uint64 // hash of the bytes
}

// parsePayload reads a row as clients get it.
func parsePayload(table int, text []byte) (string, shown, error) {
	var fields struct {
		ID json.RawMessage `json:"id"`
		V  int64           `json:"v"`
		Tx string          `json:"tx"`
	}
	if err := json.Unmarshal(text, &fields); err != nil {
		return "", shown{}, fmt.Errorf("%w: %q", err, text)
	}
	key := string(fields.ID)
	if table == memos {
		unquoted, err := strconv.Unquote(key)
		if err != nil {
			return "", shown{}, fmt.Errorf("%w: %q", err, text)
		}
		key = unquoted
	}
	return key, shown{fields.V, fields.Tx, hashOf(text)}, nil
}

func hashOf(parts ...any) uint64 {
	h := fnv.New64a()
	for _, part := range parts {
		switch p := part.(type) {
		case []byte:
			_, _ = h.Write(p) // it never fails
		case string:
			_, _ = h.Write(append([]byte(p), 0))
		case int:
			_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(p)))
		case int64:
			_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(p)))
		default:
			panic(fmt.Sprintf("no hash of %T", part))
		}
	}
	return h.Sum64()
}

// rowHash is what a row adds to the hash of a state: sums do not depend on the order of rows.
func rowHash(id rowID, v int64, tx string) uint64 { return hashOf(id.table, id.key, v, tx) }

// eventHash identifies what an event says.
func eventHash(kind string, id rowID, v int64, tx string) uint64 {
	return hashOf(kind, id.table, id.key, v, tx)
}

// mayRead is the read rule, written a second time.
func (who *identity) mayRead(table int, r *row) bool {
	switch {
	case r.deleted:
		return false
	case who.admin:
		return true
	}
	switch table {
	case tasks:
		return who.id != "" && r.owner == who.id || who.lead && r.level >= leadLevel
	case memos:
		return r.public || slices.Contains(who.orgs, r.owner)
	case parts:
		return who.id != ""
	default:
		return r.hidden == openLabel || who.id != "" && r.hidden != secretLabel
	}
}

// filter is a condition of a subscription, as its URL says it and as the oracle does.
type filter struct {
	query string
	holds func(*row) bool
}

func everything() filter { return filter{"", func(*row) bool { return true }} }

// filters are those of a table.
func filters(table int) []filter {
	common := []filter{
		everything(),
		{"v=gte.4", func(r *row) bool { return r.v >= 4 }},
		{"v=not.in.(2,3,5)", func(r *row) bool { return r.v != 2 && r.v != 3 && r.v != 5 }},
	}
	switch table {
	case tasks:
		return append(common,
			filter{"level=lt.4", func(r *row) bool { return r.level < 4 }},
			filter{"or=(level.eq.1,level.eq.7,owner_id.eq.u1)", func(r *row) bool { return r.level == 1 || r.level == 7 || r.owner == "u1" }},
			filter{"owner_id=in.(u0,u2,u4)&level=neq.3", func(r *row) bool { return slices.Contains([]string{"u0", "u2", "u4"}, r.owner) && r.level != 3 }})
	case memos:
		return append(common,
			filter{"public=eq.true", func(r *row) bool { return r.public }},
			filter{"org_id=like.org[01]*", func(*row) bool { return false }}, // a pattern has no classes
			filter{"org_id=in.(org0,org2)", func(r *row) bool { return r.owner == "org0" || r.owner == "org2" }})
	case parts:
		return append(common,
			filter{"slot=lt.20", func(r *row) bool { return r.score < 20 }},
			filter{"or=(slot.in.(1,2,3),task_id.gt.100)", func(r *row) bool { return r.score >= 1 && r.score <= 3 || r.level > 100 }})
	default:
		return append(common,
			filter{"score=lt.40", func(r *row) bool { return r.score < 40 }},
			filter{"and=(score.gte.20,not.or(v.eq.7,score.gt.80))", func(r *row) bool { return r.score >= 20 && r.v != 7 && r.score <= 80 }})
	}
}
