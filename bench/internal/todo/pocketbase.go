package todo

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"github.com/capebase/capebase/bench/internal/users"
)

// PocketBase is the API of PocketBase for a collection "todos", whose rows belong to users of its collection "users".
type PocketBase struct{}

// What the server gives its users, so that the load driver can sign for them.
const (
	PocketBaseUsers    = "_pb_users_auth_" // the collection's id
	PocketBaseSecret   = "a secret that only these measurements have, of size"
	pocketBaseIDLength = 15
)

// PocketBaseUser is the record of the nth user: its id, and the key with which its tokens are signed beside the secret.
func PocketBaseUser(n int) (id, key string) {
	id = fmt.Sprintf("user%011d", n)
	sum := sha256.Sum256([]byte(id))
	return id, base64.RawURLEncoding.EncodeToString(sum[:])
}

// Users signs tokens as PocketBase's own are.
func (PocketBase) Users(n int) []users.User {
	all := make([]users.User, n)
	encode := base64.RawURLEncoding.EncodeToString
	for i := range all {
		id, key := PocketBaseUser(i)
		expires := time.Now().Add(24 * time.Hour).Unix()
		// The id comes first, where idOf finds it.
		claims := fmt.Sprintf(`{"id":%q,"collectionId":%q,"exp":%d,"refreshable":true,"type":"auth"}`, id, PocketBaseUsers, expires)
		text := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode([]byte(claims))
		mac := hmac.New(sha256.New, []byte(key+PocketBaseSecret))
		mac.Write([]byte(text))
		all[i] = users.User{ID: id, Token: text + "." + encode(mac.Sum(nil))}
	}
	return all
}

// idOf reads the user's id from a token; "" from what is none.
func idOf(token string) string {
	_, rest, _ := bytes.Cut([]byte(token), []byte("."))
	claims := make([]byte, base64.RawURLEncoding.DecodedLen(len(rest)))
	n, _ := base64.RawURLEncoding.Decode(claims, rest) // up to the signature's dot
	id, ok := bytes.CutPrefix(claims[:n], []byte(`{"id":"`))
	if !ok || len(id) < pocketBaseIDLength {
		return ""
	}
	return string(id[:pocketBaseIDLength])
}

// Statuses tells how it answers. A token that it does not know is nobody's, and a field that it does not know is ignored.
func (PocketBase) Statuses() Statuses {
	return Statuses{Created: 200, BadToken: 404, Missing: 404, Invalid: 400, Foreign: 400, Malformed: 400}
}

const records = "/api/collections/todos/records"

// ReadOne asks for a row.
func (PocketBase) ReadOne(b []byte, token string, id []byte) []byte {
	b = append(b, "GET "+records+"/"...)
	return end(append(b, id...), token, nil)
}

// List asks for the first rows; they are not counted.
func (PocketBase) List(b []byte, token string, limit int) []byte {
	b = append(b, "GET "+records+"?skipTotal=1&perPage="...)
	return end(strconv.AppendInt(b, int64(limit), 10), token, nil)
}

// Create makes a row. The rule wants the owner's id in it.
func (PocketBase) Create(b []byte, token, task string) []byte {
	return end(append(b, "POST "+records...), token, []byte(`{"task":"`+task+`","is_complete":false,"user_id":"`+idOf(token)+`"}`))
}

// Update changes a row.
func (PocketBase) Update(b []byte, token string, id []byte, task string) []byte {
	b = append(b, "PATCH "+records+"/"...)
	return end(append(b, id...), token, []byte(`{"task":"`+task+`"}`))
}

// Subscribe opens a stream, to which Join adds the subscription.
func (PocketBase) Subscribe(b []byte, token string) []byte {
	return end(append(b, "GET /api/realtime"...), token, nil)
}

// Join subscribes the client that the stream's first event names.
func (PocketBase) Join(b []byte, token string, first []byte) []byte {
	_, rest, _ := bytes.Cut(first, []byte(`"clientId":"`))
	client, _, _ := bytes.Cut(rest, []byte(`"`))
	return end(append(b, "POST /api/realtime"...), token, fmt.Appendf(nil, `{"clientId":%q,"subscriptions":["todos/*"]}`, client))
}

const recordID = `"id":"`

// ID reads the id of a row.
func (PocketBase) ID(body []byte) []byte {
	_, rest, ok := bytes.Cut(body, []byte(recordID))
	if !ok || len(rest) < pocketBaseIDLength {
		return nil
	}
	return rest[:pocketBaseIDLength]
}

// Rows counts the rows of a list.
func (PocketBase) Rows(body []byte) int { return bytes.Count(body, []byte(recordID)) }
