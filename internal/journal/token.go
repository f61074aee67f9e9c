package journal

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// State is what became of a client's cursor.
type State uint8

// The states.
const (
	OK      State = iota // the stream can go on after the position
	Expired              // the entries after it have been pruned
	Unknown              // it is not of this journal, or not of this set of subscriptions
)

// tokenVersion begins every token.
const tokenVersion = "v1"

// Token writes a cursor for clients: opaque, and safe in a URL and in a header. Set is a hash of what the cursor is for;
// another set does not resume from it.
func (j *Journal) Token(at Mark, set uint64) string {
	b := make([]byte, 0, 96)
	b = append(b, tokenVersion+"."...)
	b = append(b, j.Epoch()...)
	b = append(b, '.')
	b = strconv.AppendInt(b, at.Position, 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, at.Nonce, 36)
	b = append(b, '.')
	b = strconv.AppendUint(b, set, 36)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Resume reads a cursor. Whatever is no cursor of this journal and set is Unknown; the error is the database's.
func (j *Journal) Resume(ctx context.Context, token string, set uint64) (Mark, State, error) {
	at, ok := j.parseToken(token, set)
	if !ok {
		return Mark{}, Unknown, nil
	}
	state, _, err := j.stateOf(ctx, at)
	if err != nil || state != OK {
		return Mark{}, state, err
	}
	return at, OK, nil
}

// stateOf tells whether reading can go on after a place, and where the floor is.
func (j *Journal) stateOf(ctx context.Context, at Mark) (State, Mark, error) {
	var last Mark
	for {
		floor, err := j.Floor(ctx)
		if err != nil {
			return Unknown, floor, err
		}
		if at.Position < floor.Position {
			return Expired, floor, nil
		}
		nonce, there := floor.Nonce, true
		if at.Position > floor.Position {
			if nonce, there, err = j.source.nonce(ctx, at.Position); err != nil {
				return Unknown, floor, fmt.Errorf("journal: %w", err)
			}
		}
		switch {
		case there && nonce == at.Nonce:
			return OK, floor, nil
		case there || floor == last:
			return Unknown, floor, nil
		}
		last = floor // pruned since the floor was read? Then that is another one now.
	}
}

func (j *Journal) parseToken(token string, set uint64) (Mark, bool) {
	const longest = 256
	if len(token) > longest {
		return Mark{}, false
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return Mark{}, false
	}
	parts := strings.Split(string(text), ".")
	if len(parts) != 5 {
		return Mark{}, false
	}
	position, err1 := strconv.ParseInt(parts[2], 10, 64)
	nonce, err2 := strconv.ParseUint(parts[3], 36, 64)
	at := Mark{Position: position, Nonce: nonce}
	// Whatever else is wrong with it, it is not what Token writes.
	return at, err1 == nil && err2 == nil && position >= 0 && j.Token(at, set) == token
}
