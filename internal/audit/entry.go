// Package audit tells who did what: it reads the journal as entries that people, programs and spreadsheets take, and
// records in it what is no change of a row, such as sign-ins and refusals.
package audit

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/problem"
)

// Entry is one thing that happened: a change of a row, or an event that was recorded. Hidden fields are left out of it,
// and secret ones were never in the journal.
type Entry struct {
	ID          string    `json:"id" doc:"Stable; where the next page begins after."`
	Time        time.Time `json:"time" doc:"Of the statement, by the database's clock; of an event, by the program's."`
	Transaction string    `json:"transaction,omitempty" doc:"Equal for all changes of a transaction, where that is known."`
	Resource    string    `json:"resource,omitempty" doc:"As in live events: the path without its first slash."`
	Table       string    `json:"table,omitempty" doc:"In the place of a resource: a private table, or one that is not published any more."`
	Key         string    `json:"key,omitempty" doc:"Of the row, as in its URL."`
	Event       string    `json:"event" doc:"INSERT, UPDATE, DELETE, GAP where changes may be missing, or the kind of a recorded event, such as sign-in." example:"UPDATE"`
	// Before and After are JSON objects of the row's fields; nil where there was no row.
	Before json.RawMessage `json:"before,omitempty" doc:"The row before, without hidden fields."`
	After  json.RawMessage `json:"after,omitempty" doc:"The row after, without hidden fields."`
	// Changed names the fields that an UPDATE changed. One that changed secret fields alone names those that the model has.
	Changed []string          `json:"changed,omitempty" doc:"The fields that changed; secret ones are named where nothing else changed."`
	Actor   Actor             `json:"actor" doc:"Who did it."`
	Raw     bool              `json:"raw,omitempty" doc:"No session of CapeBase did it: another program, or SQL by hand."`
	User    string            `json:"database_user,omitempty" doc:"Of the database; SQLite has none."`
	Detail  map[string]string `json:"detail,omitempty" doc:"What else was recorded of an event."`
	Count   int64             `json:"count,omitempty" doc:"How many equal events this one stands for, where it is more than one."`
}

// Actor is who did something, as far as it is known.
type Actor struct {
	ID         string   `json:"id,omitempty" doc:"Of the identity; absent when the caller was anonymous."`
	Roles      []string `json:"roles,omitempty"`
	Session    string   `json:"session,omitempty" doc:"The session or API key."`
	Address    string   `json:"address,omitempty" doc:"Of the client."`
	UserAgent  string   `json:"user_agent,omitempty"`
	Request    string   `json:"request,omitempty" doc:"As in X-Request-Id and the logs."`
	Privileged bool     `json:"privileged,omitempty" doc:"The rules were bypassed."`
	Reason     string   `json:"reason,omitempty" doc:"Why they were."`
}

func actorOf(a *journal.Actor) Actor {
	return Actor{
		ID: a.ID, Roles: a.Roles, Session: a.Session, Address: a.Address, UserAgent: a.UserAgent, Request: a.Request,
		Privileged: a.Privileged, Reason: a.Reason,
	}
}

// Query says which entries are wanted. The zero Query is all of them, the newest first.
type Query struct {
	Resource    string    // by its name in entries; of a private table, the table's
	Key         string    // as in the row's URL
	Actor       string    // Identity.ID
	Event       string    // INSERT, UPDATE, DELETE, GAP, or a kind
	Transaction string    // as in entries
	Request     string    // the request's id
	Since       time.Time // entries of that time and later
	Until       time.Time // entries before that time
	After       string    // ID of an entry: those that follow it in the order of the query
	Ascending   bool      // the oldest first
	Limit       int       // most entries; 0: all
}

// The events that are no recorded ones.
const (
	inserted = "INSERT"
	updated  = "UPDATE"
	deleted  = "DELETE"
	gap      = "GAP"
)

const base = 36

// formatID writes the place of an entry.
func formatID(at journal.Mark) string {
	return strconv.FormatInt(at.Position, 10) + "-" + strconv.FormatUint(at.Nonce, base)
}

// parseID reads what formatID wrote.
func parseID(id string) (at journal.Mark, ok bool) {
	position, nonce, _ := strings.Cut(id, "-")
	var err, nonceErr error
	at.Position, err = strconv.ParseInt(position, 10, 64)
	at.Nonce, nonceErr = strconv.ParseUint(nonce, base, 64)
	return at, err == nil && nonceErr == nil && at.Position > 0 && formatID(at) == id
}

func invalid(parameter, message string) error {
	return problem.At(problem.InvalidQuery, "query."+parameter, message)
}
