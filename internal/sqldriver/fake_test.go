package sqldriver

import (
	"database/sql/driver"
	"errors"
)

// closer is a statement that counts its closings.
type closer struct {
	query  string
	closed map[string]int
}

var errFake = errors.New("a fake statement was run")

func (c closer) Close() error                               { c.closed[c.query]++; return nil }
func (c closer) NumInput() int                              { return 0 }
func (c closer) Exec([]driver.Value) (driver.Result, error) { return nil, errFake }
func (c closer) Query([]driver.Value) (driver.Rows, error)  { return nil, errFake }
