package audit

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// csvEncoder writes a line an entry, under a line of names.
type csvEncoder struct {
	buffer *bufio.Writer
	csv    *csv.Writer
	line   []string
}

func newCSV(w *bufio.Writer) *csvEncoder { return &csvEncoder{buffer: w, csv: csv.NewWriter(w)} }

func (c *csvEncoder) begin() error {
	return c.csv.Write([]string{
		"id", "time", "transaction", "resource", "table", "key", "event", "actor", "roles", "session", "address", "user_agent", "request",
		"privileged", "reason", "raw", "database_user", "changed", "before", "after", "detail", "count",
	})
}

func (c *csvEncoder) entry(e *Entry) error {
	detail := ""
	if e.Detail != nil {
		doc, err := json.Marshal(e.Detail)
		if err != nil {
			return err
		}
		detail = string(doc)
	}
	count := ""
	if e.Count > 0 {
		count = strconv.FormatInt(e.Count, 10)
	}
	a := &e.Actor
	c.line = append(c.line[:0], e.ID, e.Time.Format(time.RFC3339Nano), e.Transaction, e.Resource, e.Table, e.Key, e.Event,
		a.ID, strings.Join(a.Roles, " "), a.Session, a.Address, a.UserAgent, a.Request, yes(a.Privileged), a.Reason, yes(e.Raw), e.User,
		strings.Join(e.Changed, " "), string(e.Before), string(e.After), detail, count)
	for i, cell := range c.line {
		c.line[i] = harmless(cell)
	}
	return c.csv.Write(c.line)
}

func (c *csvEncoder) flush() error {
	c.csv.Flush()
	if err := c.csv.Error(); err != nil {
		return err
	}
	return c.buffer.Flush()
}

func yes(b bool) string {
	if b {
		return "true"
	}
	return ""
}

// harmless keeps spreadsheets from taking what a client wrote for a formula: such a cell begins with an apostrophe. They
// pass over what cannot be seen before it.
func harmless(cell string) string {
	seen := strings.TrimLeftFunc(cell, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) })
	if cell != "" && (strings.ContainsRune("\t\r\n", rune(cell[0])) || seen != "" && strings.ContainsAny(first(seen), "=+-@\uFF1D\uFF0B\uFF0D\uFF20|%")) {
		return "'" + cell
	}
	return cell
}

// first is the first character.
func first(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}
