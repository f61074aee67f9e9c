package journal

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// convert implements source. A document that JSON cannot tell from no document is a string of its text; so are numbers
// that JSON does not have.
func (s *postgresSource) convert(kind predicate.Kind, t token) (driver.Value, error) {
	switch {
	case t.kind == tokenBool && kind == predicate.Bool:
		return t.text == "true", nil
	case kind == predicate.Bytes && t.kind == tokenString:
		digits, ok := strings.CutPrefix(t.text, `\x`)
		if !ok {
			return nil, errImage
		}
		return hex.DecodeString(digits)
	case kind == predicate.Time && t.kind == tokenString:
		return postgresTime(t.text), nil
	default:
		return t.text, nil
	}
}

// postgresTime reads a time as JSON has it; what is no time, such as infinity, stays text. Go reads no years before 1 or
// after 9999.
func postgresTime(text string) driver.Value {
	common, before := strings.CutSuffix(text, " BC")
	year, rest, ok := strings.Cut(common, "-")
	if !ok || year == "" || !before && len(year) == 4 {
		return text
	}
	number, err := strconv.Atoi(year)
	if err != nil {
		return text
	}
	if before {
		number = 1 - number
	}
	// In the calendar that goes on forever, years repeat after 400.
	const cycle = 400
	like := number%cycle + 4*cycle
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", time.DateOnly} {
		if t, err := time.Parse(layout, strconv.Itoa(like)+"-"+rest); err == nil {
			return t.AddDate(number-like, 0, 0)
		}
	}
	return text
}

// postgresStamp sets a variable of the transaction, which ends with it.
type postgresStamp struct{}

// frame implements framer: the variable is set in the round trip of BEGIN. COMMIT alone would roll a failed transaction
// back without an error; the SELECT fails then.
func (postgresStamp) frame(actor string) sqldriver.Frame {
	if actor == "" {
		return sqldriver.Frame{}
	}
	return sqldriver.Frame{Begin: "BEGIN; " + postgresSetActor(actor), Commit: "SELECT; COMMIT", Rollback: []string{"ROLLBACK"}}
}

// postgresSetActor is no query, so that the transaction's isolation can still be chosen after it.
func postgresSetActor(actor string) string {
	return `SET LOCAL "` + postgresActor + `" = ` + postgresText(actor)
}

const postgresActor = "capebase.actor"

// variables implements namer.
func (postgresStamp) variables(actor string) []engine.Variable {
	return []engine.Variable{{Name: postgresActor, Value: actor}}
}

// begin implements stamper for transactions that have no frame.
func (postgresStamp) begin(ctx context.Context, c *sqldriver.Conn, actor string) error {
	if actor == "" || c.Framed() {
		return nil
	}
	_, err := c.Exec(ctx, postgresSetActor(actor), nil)
	return err
}

func (postgresStamp) commit(context.Context, *sqldriver.Conn) error { return nil }
