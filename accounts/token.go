package accounts

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"hash/crc32"
	"strings"
)

// The beginnings of tokens tell what they are, to scanners for leaked secrets as well.
const (
	sessionPrefix = "cape_session_"
	keyPrefix     = "cape_key_"
)

const (
	secretBytes = 32
	checkLength = 6 // of base62
)

// newToken makes a token of 256 random bits, and a checksum by which a scanner tells it from a look-alike.
func newToken(prefix string) string {
	var secret [secretBytes]byte
	_, _ = rand.Read(secret[:]) // it never fails
	body := base64.RawURLEncoding.EncodeToString(secret[:])
	return prefix + body + checksum(body)
}

// checksum is the CRC-32 of the secret in base62, as GitHub's tokens have it.
func checksum(body string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := crc32.ChecksumIEEE([]byte(body))
	var text [checkLength]byte
	for i := len(text) - 1; i >= 0; i-- {
		text[i] = digits[sum%uint32(len(digits))]
		sum /= uint32(len(digits))
	}
	return string(text[:])
}

// parseToken tells whether a text is a token of ours with the prefix; the database is not asked about others.
func parseToken(prefix, token string) bool {
	body, ok := strings.CutPrefix(token, prefix)
	if !ok || len(body) != base64.RawURLEncoding.EncodedLen(secretBytes)+checkLength {
		return false
	}
	split := len(body) - checkLength
	return checksum(body[:split]) == body[split:]
}

// hashToken is what is stored of a token. Its 256 random bits need no slow hash, and a lookup by the hash tells nothing by
// its time.
func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
