package stream

import (
	"net/http"
	"strings"

	"github.com/capebase/capebase/internal/problem"
)

// wantsWebSocket tells whether the request asks for the upgrade.
func wantsWebSocket(r *http.Request) bool {
	for _, line := range r.Header.Values("Upgrade") {
		for protocol := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(protocol), "websocket") {
				return true
			}
		}
	}
	return false
}

func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request, _ *resource) {
	s.fail(w, r, problem.New(problem.Unavailable, "WebSocket comes next"))
}
