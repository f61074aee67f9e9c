package capebase

import "github.com/capebase/capebase/internal/problem"

// Error is every error of a session and every problem of a route (RFC 9457): Status, Title, Detail, a stable Code, the
// RequestID, and Errors with the fields at fault. It is a huma.StatusError, so that typed routes may return it.
type Error = problem.Error

// FieldError is one mistake in a request: its Location, such as "body[3].task" or "query.order", and a Message that says
// what was expected.
type FieldError = problem.FieldError

// Sentinels for errors.Is, also fit to be returned from a huma handler.
var (
	ErrPermission error = &Error{Status: 403, Title: "Forbidden", Detail: "not permitted", Code: problem.Permission}
	ErrNotFound   error = &Error{Status: 404, Title: "Not Found", Detail: "not found", Code: problem.NotFound}
	ErrConflict   error = &Error{Status: 409, Title: "Conflict", Detail: "another row has this value already", Code: problem.Conflict}
	ErrInvalid    error = &Error{Status: 422, Title: "Unprocessable Entity", Detail: "not valid", Code: problem.Invalid}
	ErrNotStarted error = &Error{Status: 503, Title: "Service Unavailable", Detail: "call Start first", Code: problem.NotStarted}
)
