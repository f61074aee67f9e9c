package accounts

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxEmail is the longest address that mail can be sent to (RFC 5321).
const maxEmail = 254

// normalEmail returns an address as it is stored and compared: without white space around it, in lower case. Providers
// that tell addresses apart by case are not known to exist.
func normalEmail(address string) (string, error) {
	bad := invalid("body.email", "expected an e-mail address")
	if len(address) > maxEmail || !utf8.ValidString(address) {
		return "", bad
	}
	address = strings.ToLower(strings.TrimSpace(address))
	if len(address) > maxEmail || strings.ContainsFunc(address, unmailable) {
		return "", bad
	}
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address {
		return "", bad
	}
	return address, nil
}

// unmailable are the characters that no plain address has. Quoted local parts, comments and display names are refused.
func unmailable(r rune) bool {
	return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == utf8.RuneError || strings.ContainsRune("<>\"(),:;\\", r)
}
