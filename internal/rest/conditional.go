package rest

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"

	"github.com/capebase/capebase/internal/problem"
	"github.com/capebase/capebase/internal/store"
)

// etag is a strong entity tag of what the client sees: 16 bytes of SHA-256.
func etag(content []byte) string {
	sum := sha256.Sum256(content)
	tag := append(make([]byte, 0, 24), '"')
	tag = base64.RawURLEncoding.AppendEncode(tag, sum[:16])
	return string(append(tag, '"'))
}

// answer writes JSON with its entity tag, or 304 when the client has it already.
func (r *Resource) answer(w http.ResponseWriter, req *http.Request, status int, content []byte) {
	tag := etag(content)
	// In the map's own spelling, and the values at once: Set would take as long as the tag.
	values := []string{tag, "private, no-cache", "application/json"}
	h := w.Header()
	h["Etag"], h["Cache-Control"] = values[0:1:1], values[1:2:2]
	if status == http.StatusOK && (req.Method == http.MethodGet || req.Method == http.MethodHead) && matches(req.Header["If-None-Match"], tag, true) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h["Content-Type"] = values[2:3:3]
	w.WriteHeader(status)
	_, _ = w.Write(content) // the client may be gone
}

// answerRow is answer with a row.
func (r *Resource) answerRow(w http.ResponseWriter, req *http.Request, status int, row store.Row) {
	buffer := getBuffer()
	defer buffer.release()
	buffer.bytes = append(r.model.AppendRow(buffer.bytes, row), '\n')
	r.answer(w, req, status, buffer.bytes)
}

// matches reads a list of entity tags; weak comparison ignores W/, strong never matches it.
func matches(lines []string, tag string, weak bool) bool {
	for _, line := range lines {
		for candidate := range strings.SplitSeq(line, ",") {
			candidate = strings.TrimSpace(candidate)
			if weak {
				candidate = strings.TrimPrefix(candidate, "W/")
			}
			if candidate == tag || candidate == "*" {
				return true
			}
		}
	}
	return false
}

// ifMatch is the client's If-Match as a question about the row under its lock; nil where it has none.
func (r *Resource) ifMatch(req *http.Request) store.Condition {
	lines := req.Header.Values("If-Match")
	if len(lines) == 0 {
		return nil
	}
	return func(row store.Row) error {
		buffer := getBuffer()
		defer buffer.release()
		buffer.bytes = append(r.model.AppendRow(buffer.bytes, row), '\n')
		if matches(lines, etag(buffer.bytes), false) {
			return nil
		}
		return problem.At(problem.PreconditionFailed, "header.If-Match", "expected the ETag of the row as it is now")
	}
}

// buffers are reused from answer to answer.
type buffer struct{ bytes []byte }

// maxBuffer bounds what a pool keeps.
const maxBuffer = 1 << 20

var buffers = sync.Pool{New: func() any { return &buffer{bytes: make([]byte, 0, 4096)} }} //nolint:gochecknoglobals // a pool has no state that anyone can see

func getBuffer() *buffer {
	b := buffers.Get().(*buffer) //nolint:errcheck,forcetypeassert // New makes nothing else
	b.bytes = b.bytes[:0]
	return b
}

func (b *buffer) release() {
	if cap(b.bytes) <= maxBuffer {
		buffers.Put(b)
	}
}
