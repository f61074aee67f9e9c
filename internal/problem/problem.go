// Package problem is the one error type that leaves CapeBase: an RFC 9457 problem with a stable code.
package problem

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Error is every error of a session and every problem of a route. It has the shape of huma's own error model and two
// members more, so that generated and custom routes answer alike; it implements huma.StatusError.
type Error struct {
	Status    int          `json:"status" doc:"HTTP status code." example:"422"`
	Title     string       `json:"title" doc:"What the status means." example:"Unprocessable Entity"`
	Detail    string       `json:"detail" doc:"What went wrong this time."`
	Code      string       `json:"code" doc:"Stable name of the mistake." example:"invalid"`
	RequestID string       `json:"request_id,omitempty" doc:"The request, as in X-Request-Id and the logs."`
	TraceID   string       `json:"trace_id,omitempty" doc:"The trace that the request is part of, where traces are kept."`
	Errors    []FieldError `json:"errors,omitempty" doc:"The fields at fault."`
	cause     error
	refusal   *Refusal
}

// FieldError is one mistake in a request.
type FieldError struct {
	Location string `json:"location" doc:"Where it is." example:"body[3].task"`
	Message  string `json:"message" doc:"What was expected." example:"expected length >= 1"`
}

// The stable codes.
const (
	Malformed            = "malformed"
	InvalidQuery         = "invalid_query"
	InvalidID            = "invalid_id"
	Unauthenticated      = "unauthenticated"
	Permission           = "permission"
	NotFound             = "not_found"
	MethodNotAllowed     = "method_not_allowed"
	NotAcceptable        = "not_acceptable"
	Timeout              = "timeout"
	Conflict             = "conflict"
	PreconditionFailed   = "precondition_failed"
	TooLarge             = "too_large"
	UnsupportedMediaType = "unsupported_media_type"
	Invalid              = "invalid"
	RateLimited          = "rate_limited"
	Internal             = "internal"
	Unavailable          = "unavailable"
	NotStarted           = "not_started"
)

// Status is the one table of codes and HTTP statuses; 500 for a code that is not ours.
func Status(code string) int {
	switch code {
	case Malformed, InvalidQuery, InvalidID:
		return http.StatusBadRequest
	case Unauthenticated:
		return http.StatusUnauthorized
	case Permission:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case NotAcceptable:
		return http.StatusNotAcceptable
	case Timeout:
		return http.StatusRequestTimeout
	case Conflict:
		return http.StatusConflict
	case PreconditionFailed:
		return http.StatusPreconditionFailed
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case UnsupportedMediaType:
		return http.StatusUnsupportedMediaType
	case Invalid:
		return http.StatusUnprocessableEntity
	case RateLimited:
		return http.StatusTooManyRequests
	case Unavailable, NotStarted:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// CodeOf names a status that another library chose; the reverse of Status where that is clear.
func CodeOf(status int) string {
	switch status {
	case http.StatusBadRequest:
		return Malformed
	case http.StatusServiceUnavailable:
		return Unavailable
	}
	for _, code := range [...]string{Unauthenticated, Permission, NotFound, MethodNotAllowed, NotAcceptable, Timeout,
		Conflict, PreconditionFailed, TooLarge, UnsupportedMediaType, Invalid, RateLimited} {
		if Status(code) == status {
			return code
		}
	}
	if status < http.StatusInternalServerError {
		return Malformed
	}
	return Internal
}

// New makes a problem of a code.
func New(code, detail string) *Error {
	status := Status(code)
	return &Error{Status: status, Title: http.StatusText(status), Detail: detail, Code: code}
}

// Newf is New with a format.
func Newf(code, format string, args ...any) *Error { return New(code, fmt.Sprintf(format, args...)) }

// Wrap makes a problem whose cause logs see and clients do not.
func Wrap(code, detail string, cause error) *Error {
	e := New(code, detail)
	e.cause = cause
	return e
}

// At makes a problem of one field.
func At(code, location, message string) *Error {
	return Fields(code, []FieldError{{Location: location, Message: message}})
}

// Fields makes a problem of the fields at fault.
func Fields(code string, errs []FieldError) *Error {
	detail := fmt.Sprintf("%d fields are not valid", len(errs))
	if len(errs) == 1 {
		detail = errs[0].Location + ": " + errs[0].Message
	}
	e := New(code, detail)
	e.Errors = errs
	return e
}

// Error returns the detail, or the title where there is none, and the fields at fault.
func (e *Error) Error() string {
	text := e.Detail
	if text == "" {
		text = http.StatusText(e.Status)
	}
	if len(e.Errors) > 1 {
		for _, field := range e.Errors {
			text += "; " + field.Location + ": " + field.Message
		}
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return "capebase: " + text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// GetStatus makes Error a huma.StatusError.
func (e *Error) GetStatus() int { return e.Status }

// ContentType makes huma answer with application/problem+json.
func (e *Error) ContentType(string) string { return "application/problem+json" }

// Is matches by Code, so that errors.Is finds the sentinels.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// For returns a copy that names the request and its trace, with the title filled in: sentinels are shared and never changed.
func (e *Error) For(requestID, traceID string) *Error {
	c := *e
	c.RequestID, c.TraceID = requestID, traceID
	if c.Title == "" {
		c.Title = http.StatusText(c.Status)
	}
	if c.Detail == "" {
		c.Detail = c.Title
	}
	return &c
}

// ForAnonymous is a refusal as a caller without credentials gets it: 403 becomes 401, anything else stays.
func (e *Error) ForAnonymous() *Error {
	if e.Status != http.StatusForbidden {
		return e
	}
	c := *e
	c.Status, c.Code, c.Title = http.StatusUnauthorized, Unauthenticated, http.StatusText(http.StatusUnauthorized)
	return &c
}

// SetHeaders adds what clients need to know of the status beside the body, where it is not said already.
func (e *Error) SetHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	name, value := "", ""
	switch e.Status {
	case http.StatusUnauthorized:
		name, value = "WWW-Authenticate", "Bearer"
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		name, value = "Retry-After", "1"
	}
	if name != "" && h.Get(name) == "" {
		h.Set(name, value)
	}
}

// Write answers a request with the problem.
func (e *Error) Write(w http.ResponseWriter, requestID, traceID string) {
	h := w.Header()
	h.Del("Content-Length")
	h.Del("ETag")
	h.Set("Content-Type", "application/problem+json")
	e.SetHeaders(h)
	body, err := json.Marshal(e.For(requestID, traceID))
	if err != nil { // a struct of strings cannot fail
		body = []byte(`{"status":500,"code":"internal"}`)
	}
	w.WriteHeader(e.Status)
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}
