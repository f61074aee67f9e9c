// Package body turns the bytes of a request body into Go values: strict JSON (RFC 8259) without the leniencies of
// encoding/json, so that what is checked is what was sent. Duplicate keys, text that is not UTF-8 and halves of
// surrogate pairs are refused, and integers stay integers.
package body

import (
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/capebase/capebase/internal/problem"
)

const (
	// maxDepth bounds nested arrays and objects.
	maxDepth = 32
	// bytesPerValue and minValues bound the number of values by the size that is allowed, since an empty array of two
	// bytes costs twenty times that in memory.
	bytesPerValue = 8
	minValues     = 1024
	// maxInvalid bounds how many numbers out of range are told at once.
	maxInvalid = 20
)

// Decode reads one JSON document of at most max bytes, which must be positive.
//
// It yields nil, bool, string, []any and map[string]any. A number without fraction and exponent is an int64, or a
// uint64 above the largest int64; any other number is a float64. Text may hold NUL: whether a value may is its field's
// matter.
//
// Errors are *problem.Error: malformed for syntax, too_large, invalid for numbers beyond 64 bits, timeout. They name the
// place as "body.list[3].name".
func Decode(r io.Reader, max int64) (any, error) {
	max = min(max, math.MaxInt64-1)
	data, err := io.ReadAll(io.LimitReader(r, max+1))
	if err != nil {
		return nil, readError(err)
	}
	if int64(len(data)) > max {
		return nil, tooLarge(max)
	}
	return decode(data, int(min(max/bytesPerValue+minValues, math.MaxInt32)))
}

func tooLarge(max int64) error {
	return problem.At(problem.TooLarge, "body", fmt.Sprintf("expected at most %d bytes", max))
}

func readError(err error) error {
	var limit *http.MaxBytesError
	if errors.As(err, &limit) {
		return tooLarge(limit.Limit)
	}
	code, message := problem.Malformed, "expected a whole body, and it ended early"
	if errors.Is(err, os.ErrDeadlineExceeded) {
		code, message = problem.Timeout, "expected a whole body, and it did not arrive in time"
	}
	p := problem.Wrap(code, "body: "+message, err)
	p.Errors = []problem.FieldError{{Location: "body", Message: message}}
	return p
}

// CheckHeader tells whether a request's headers announce a body that [Decode] reads: application/json or
// application/*+json, in UTF-8 and not compressed. The error is a *problem.Error with code unsupported_media_type.
func CheckHeader(h http.Header) error {
	types := h.Values("Content-Type")
	if len(types) != 1 || !isJSON(types[0]) {
		return problem.At(problem.UnsupportedMediaType, "header.Content-Type",
			"expected application/json, with charset utf-8 if any")
	}
	if slices.ContainsFunc(h.Values("Content-Encoding"), func(encoding string) bool {
		return !strings.EqualFold(strings.TrimSpace(encoding), "identity")
	}) {
		return problem.At(problem.UnsupportedMediaType, "header.Content-Encoding", "expected none: bodies are not compressed")
	}
	return nil
}

func isJSON(contentType string) bool {
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	if charset, given := params["charset"]; given && !strings.EqualFold(charset, "utf-8") {
		return false
	}
	name, ok := strings.CutPrefix(mediaType, "application/")
	return ok && (name == "json" || strings.HasSuffix(name, "+json") && name != "+json")
}
