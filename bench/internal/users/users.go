// Package users makes the callers that servers and load driver agree on.
package users

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// User is one caller.
type User struct {
	ID    string
	Token string // bearer token
}

// Make returns n users. They are the same ones in every process.
func Make(n int) []User {
	all := make([]User, n)
	for i := range all {
		id := fmt.Sprintf("user-%04d", i)
		sum := sha256.Sum256([]byte(id))
		all[i] = User{ID: id, Token: hex.EncodeToString(sum[:16])}
	}
	return all
}

// ByToken maps the tokens of n users to their IDs.
func ByToken(n int) map[string]string {
	ids := make(map[string]string, n)
	for _, user := range Make(n) {
		ids[user.Token] = user.ID
	}
	return ids
}

// Auditor is the token, the ID and the role of the one caller of the growth curves' server who reads all rows.
const Auditor = "auditor"
