package sqldriver

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/capebase/capebase/internal/predicate"
)

// arguments brings args into the form that the driver takes. The slice it was given stays as it is.
func (c *connection) arguments(s driver.Stmt, args []driver.NamedValue) ([]driver.NamedValue, error) {
	if s != nil {
		if n := s.NumInput(); n >= 0 && n != len(args) {
			return nil, fmt.Errorf("the statement takes %d arguments and was given %d", n, len(args))
		}
	}
	own := false
	for i := range args {
		switch v := args[i].Value.(type) {
		case nil, int64, float64, bool, string, []byte:
			continue
		case time.Time:
			if v.Location() == time.UTC && v.Nanosecond()%1000 == 0 && !c.db.textTimes {
				continue
			}
		}
		if !own {
			args, own = slices.Clone(args), true
		}
		if err := c.argument(s, &args[i]); err != nil {
			return nil, fmt.Errorf("argument %d: %w", args[i].Ordinal, err)
		}
	}
	return args, nil
}

func (c *connection) argument(s driver.Stmt, arg *driver.NamedValue) error {
	if t, ok := arg.Value.(time.Time); ok {
		v, err := c.db.bindTime(t)
		arg.Value = v
		return err
	}
	// What follows is what database/sql does for a driver.
	err := driver.ErrSkip
	if checker, ok := s.(driver.NamedValueChecker); ok {
		err = checker.CheckNamedValue(arg)
	} else if checker, ok := c.driver.(driver.NamedValueChecker); ok {
		err = checker.CheckNamedValue(arg)
	}
	if errors.Is(err, driver.ErrSkip) {
		arg.Value, err = driver.DefaultParameterConverter.ConvertValue(arg.Value)
	}
	return err
}

// bindTime is the one place where times are made UTC and cut to microseconds.
func (db *DB) bindTime(t time.Time) (driver.Value, error) {
	if !db.textTimes {
		return t.UTC().Truncate(time.Microsecond), nil
	}
	if !predicate.ValidTime(t) {
		return nil, fmt.Errorf("time %v is outside of what the database can order", t)
	}
	return db.backend.Dialect.Bind(predicate.TimeValue(t)), nil
}

// resolve finds what an argument stands for, so that the times behind pointers and Valuers are seen. It leaves to the
// driver what only that knows.
func (db *DB) resolve(arg *driver.NamedValue) error {
	for {
		switch v := arg.Value.(type) {
		case nil, int64, float64, bool, string, []byte:
			return nil
		case time.Time:
			bound, err := db.bindTime(v)
			arg.Value = bound
			return err
		case []time.Time:
			times := make([]time.Time, len(v))
			for i, t := range v {
				times[i] = t.UTC().Truncate(time.Microsecond)
			}
			arg.Value = times
			return nil
		case driver.Valuer:
			if nilReceiver(v) {
				arg.Value = nil
				return nil
			}
			value, err := v.Value()
			if err != nil {
				return err
			}
			if _, again := value.(driver.Valuer); again {
				return fmt.Errorf("%T's Value returned another Valuer, %T", v, value)
			}
			arg.Value = value
		default:
			pointer := reflect.ValueOf(v)
			if pointer.Kind() != reflect.Pointer {
				return nil
			}
			if pointer.IsNil() {
				arg.Value = nil
				return nil
			}
			if kind := pointer.Elem().Kind(); kind == reflect.Struct && pointer.Elem().Type() != reflect.TypeFor[time.Time]() {
				return nil
			}
			arg.Value = pointer.Elem().Interface()
		}
	}
}

// nilReceiver tells whether Value has a value receiver that a nil pointer cannot give: it stands for NULL.
func nilReceiver(v driver.Valuer) bool {
	pointer := reflect.ValueOf(v)
	return pointer.Kind() == reflect.Pointer && pointer.IsNil() &&
		pointer.Type().Elem().Implements(reflect.TypeFor[driver.Valuer]())
}
