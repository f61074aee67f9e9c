package accounts

import (
	"net/mail"
	"strings"
	"unicode/utf8"
)

// maxEmail is the longest address that mail can be sent to (RFC 5321).
const maxEmail = 254

// normalEmail returns an address as it is stored and compared: without white space around it, in lower case. Providers
// that tell addresses apart by case are not known to exist.
func normalEmail(address string) (string, error) {
	address = strings.ToLower(strings.TrimSpace(address))
	bad := invalid("body.email", "expected an e-mail address")
	if len(address) > maxEmail || !utf8.ValidString(address) || strings.ContainsAny(address, "\x00\r\n<>\"(),:;\\ ") {
		return "", bad
	}
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address {
		return "", bad
	}
	return address, nil
}
