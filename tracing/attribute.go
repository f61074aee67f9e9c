package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"go.opentelemetry.io/otel/attribute"
)

// convert turns the attributes of a log into those of spans.
func convert(attributes []slog.Attr) []attribute.KeyValue {
	converted := make([]attribute.KeyValue, 0, len(attributes))
	for _, a := range attributes {
		converted = append(converted, convertOne(a))
	}
	return converted
}

func convertOne(a slog.Attr) attribute.KeyValue {
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindInt64:
		return attribute.Int64(a.Key, v.Int64())
	case slog.KindBool:
		return attribute.Bool(a.Key, v.Bool())
	case slog.KindFloat64:
		return attribute.Float64(a.Key, v.Float64())
	default:
		return attribute.String(a.Key, valid(v.String()))
	}
}

// maxPath bounds what a client's path takes of a span, in bytes.
const maxPath = 256

// bounded makes an attribute of what clients can make up.
func bounded(text string) string {
	if len(text) <= maxPath {
		return valid(text)
	}
	return valid(text[:maxPath]) + "…"
}

// valid replaces what is not UTF-8: exporters lose all the spans that they send together with one that has such a text.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// errorType names an error without its text.
func errorType(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return fmt.Sprintf("%T", err)
		}
		err = next
	}
}
