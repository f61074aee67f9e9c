package predicate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDigits bounds decimals, and the zeros that an exponent may stand for. PostgreSQL's numeric holds more, MySQL's 65.
const maxDigits = 1000

// canonicalDecimal accepts digits with an optional sign, point and exponent.
func canonicalDecimal(s string) (string, bool) {
	rest, negative := strings.CutPrefix(s, "-")
	mantissa, exponent := rest, 0
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		e, err := strconv.Atoi(rest[i+1:])
		if err != nil || e > maxDigits || e < -maxDigits {
			return "", false
		}
		mantissa, exponent = rest[:i], e
	}
	whole, fraction, point := strings.Cut(mantissa, ".")
	if whole == "" || point && fraction == "" || !digits(whole) || !digits(fraction) || len(mantissa) > maxDigits {
		return "", false
	}
	if exponent > 0 {
		fraction += strings.Repeat("0", max(0, exponent-len(fraction)))
		whole, fraction = whole+fraction[:exponent], fraction[exponent:]
	} else if exponent < 0 {
		whole = strings.Repeat("0", max(0, -exponent-len(whole))) + whole
		whole, fraction = whole[:len(whole)+exponent], whole[len(whole)+exponent:]+fraction
	}
	whole, fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	if whole == "" {
		whole = "0"
	}
	if fraction != "" {
		whole += "." + fraction
	}
	if negative && whole != "0" {
		whole = "-" + whole
	}
	return whole, true
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// compareDecimal orders two canonical decimals by number, and anything else by text.
func compareDecimal(a, b string) int {
	aRest, aNegative := strings.CutPrefix(a, "-")
	bRest, bNegative := strings.CutPrefix(b, "-")
	switch {
	case aNegative && !bNegative:
		return -1
	case bNegative && !aNegative:
		return 1
	case aNegative:
		aRest, bRest = bRest, aRest
	}
	aWhole, aFraction, _ := strings.Cut(aRest, ".")
	bWhole, bFraction, _ := strings.Cut(bRest, ".")
	if c := cmp.Compare(len(aWhole), len(bWhole)); c != 0 {
		return c
	}
	if c := cmp.Compare(aWhole, bWhole); c != 0 {
		return c
	}
	return cmp.Compare(aFraction, bFraction)
}

var errTrailing = errors.New("text after the document")

func canonicalJSON(doc []byte) (string, error) {
	if !utf8.Valid(doc) {
		return "", errors.New("not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return "", err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return "", errTrailing
	}
	return string(appendCanonical(nil, v)), nil
}

func appendCanonical(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case json.Number:
		if c, ok := canonicalDecimal(v.String()); ok {
			return append(dst, c...)
		}
		return append(dst, v...)
	case string:
		return AppendString(dst, v)
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendCanonical(dst, e)
		}
		return append(dst, ']')
	case map[string]any:
		dst = append(dst, '{')
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(AppendString(dst, key), ':')
			dst = appendCanonical(dst, v[key])
		}
		return append(dst, '}')
	}
	return dst
}
