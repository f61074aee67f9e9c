package engine

import "errors"

// Translation is a database's error to which GORM has a name of its own (gorm.Config.TranslateError): errors.Is finds
// that name beside all that the error already was. GORM's dialectors would return the name alone.
type Translation struct {
	Name error // such as gorm.ErrDuplicatedKey
	Err  error
}

// Error is the error's own text.
func (t *Translation) Error() string { return t.Err.Error() }

// Unwrap returns the error itself.
func (t *Translation) Unwrap() error { return t.Err }

// Is finds GORM's name.
func (t *Translation) Is(target error) bool { return errors.Is(t.Name, target) }
