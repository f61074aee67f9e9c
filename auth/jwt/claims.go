package jwt

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// lookup finds a claim by its path: the whole of it as a name first, then each beginning that ends at a dot and names an
// object, with the rest looked up inside.
func lookup(claims map[string]any, path string) (any, bool) {
	if value, ok := claims[path]; ok {
		return value, true
	}
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		if inner, ok := claims[path[:i]].(map[string]any); ok {
			if value, ok := lookup(inner, path[i+1:]); ok {
				return value, true
			}
		}
	}
	return nil, false
}

// idOf reads a claim that is the name of somebody or something. Whatever could stand for two names is refused: U+FFFD
// is what invalid UTF-8 was decoded to.
func idOf(claims map[string]any, path string) (string, error) {
	value, _ := lookup(claims, path)
	switch v := value.(type) {
	case string:
		if v != "" && !strings.ContainsFunc(v, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }) {
			return v, nil
		}
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return strconv.FormatInt(n, 10), nil
		}
	}
	return "", refuse(fmt.Sprintf("the claim %s is not a plain text or an integer", path))
}

// rolesOf reads a claim that is a role or a list of roles. One in another form is refused rather than ignored: rules may
// also say who is not let in.
func rolesOf(claims map[string]any, path string) ([]string, error) {
	value, _ := lookup(claims, path)
	switch v := value.(type) {
	case nil:
		return nil, nil
	case string:
		if v == "" {
			return nil, nil
		}
		return []string{v}, nil
	case []any:
		roles := make([]string, 0, len(v))
		for _, element := range v {
			role, ok := element.(string)
			if !ok || role == "" {
				return nil, refuse(fmt.Sprintf("the claim %s has other elements than names", path))
			}
			roles = append(roles, role)
		}
		return roles, nil
	}
	return nil, refuse(fmt.Sprintf("the claim %s is neither a text nor a list of them", path))
}

// lastSecond ends the year 9999, up to which times can be written everywhere.
const lastSecond = 253_402_300_799

// timesOf checks the form of the times, which golang-jwt takes for what overflow makes of them, and returns exp.
func timesOf(claims map[string]any) (expires time.Time, err error) {
	for _, name := range []string{"iat", "nbf", "exp"} {
		value, given := claims[name]
		if !given && name != "exp" {
			continue
		}
		number, ok := value.(json.Number)
		if !ok {
			return time.Time{}, refuse("the claim " + name + " is not a number")
		}
		seconds, err := number.Float64()
		if err != nil || seconds < 0 || seconds > lastSecond {
			return time.Time{}, refuse("the claim " + name + " is no time")
		}
		expires = time.Unix(int64(seconds), 0).UTC()
	}
	return expires, nil
}
