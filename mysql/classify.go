package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/capebase/capebase/internal/engine"
)

func (dialect) Classify(err error) engine.Failure {
	if failure := new(mysql.MySQLError); errors.As(err, &failure) {
		return classify(failure)
	}
	network := new(net.OpError)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return engine.Failure{Class: engine.Cut}
	case errors.Is(err, mysql.ErrPktTooLarge):
		return engine.Failure{Class: engine.TooLong}
	case errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, driver.ErrBadConn), errors.As(err, &network),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return engine.Failure{Class: engine.Down}
	}
	return engine.Failure{}
}

func classify(failure *mysql.MySQLError) engine.Failure {
	result := engine.Failure{Class: classOf(failure.Number)}
	const noNumber = 1105 // of its own
	if failure.Number == noNumber && strings.Contains(failure.Message, "max_allowed_packet") {
		result.Class = engine.TooLong
	}
	switch result.Class {
	case engine.UniqueViolation: // Duplicate entry '1' for key 'table.name': the entry may hold quotes
		if i := strings.LastIndex(failure.Message, " for key '"); i >= 0 {
			key := strings.TrimSuffix(failure.Message[i+len(" for key '"):], "'")
			result.Constraint = key[strings.LastIndex(key, ".")+1:]
		}
	case engine.NotNull: // Column 'a' cannot be null; Field 'a' doesn't have a default value
		result.Columns = between(failure.Message, `'([^']+)'`)
	case engine.TooLong: // Data too long for column 'a' at row 1
		result.Columns = between(failure.Message, `column '([^']+)'`)
	case engine.Check: // CONSTRAINT `a` failed for `b`.`c`; Check constraint 'a' is violated.
		result.Constraint = first(between(failure.Message, "(?i)constraint [`']([^`']+)[`']"))
	case engine.ForeignKey: // … (`b`.`c`, CONSTRAINT `a` FOREIGN KEY (`d`) REFERENCES …)
		result.Constraint = first(between(failure.Message, "CONSTRAINT `([^`]+)`"))
		for _, column := range strings.Split(first(between(failure.Message, `FOREIGN KEY \(([^)]+)\)`)), ", ") {
			if name := strings.Trim(column, "`"); name != "" {
				result.Columns = append(result.Columns, name)
			}
		}
	}
	return result
}

// between returns what the expression's group matched, if anything. Messages come in the server's language, but quote
// names alike.
func between(message, expression string) []string {
	match := regexp.MustCompile(expression).FindStringSubmatch(message)
	if match == nil {
		return nil
	}
	return match[1:]
}

func first(texts []string) string {
	if len(texts) == 0 {
		return ""
	}
	return texts[0]
}

func classOf(number uint16) engine.Class {
	switch number {
	case 1062, 1586, 1022: // duplicate entry, key
		return engine.UniqueViolation
	case 1048, 1364, 1263: // cannot be null, no default
		return engine.NotNull
	case 3819, 4025, 1369, 1644: // check constraint of MySQL, of MariaDB, check option, a trigger's SIGNAL
		return engine.Check
	case 1216, 1217, 1451, 1452, 1761, 1762:
		return engine.ForeignKey
	case 1205, 1213, 3572, 1020, 1412, 1467: // lock time-out, deadlock, NOWAIT, row changed, table changed, deadlock over AUTO_INCREMENT
		return engine.Busy
	case 1243, 1615: // no such prepared statement, needs to be prepared again
		return engine.Stale
	case 1317, 3024, 1969: // interrupted, execution time
		return engine.Cut
	case 1290, 1792, 1836: // server or transaction is read-only
		return engine.ReadOnly
	case 1040, 1044, 1045, 1049, 1053, 1077, 1129, 1130, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1226, 1698, 1927, 4151,
		1021, 1114: // connections, access, shutdown, and disks that are full
		return engine.Down
	case 1406, 1264, 1265, 1292, 1366, 1367, 1411, 1690, 1153, 1301, 3140, 3988:
		return engine.TooLong // too long, out of range, or no value of the type
	}
	return engine.Other
}
