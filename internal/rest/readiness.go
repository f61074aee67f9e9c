package rest

import (
	"encoding/json"
	"net/http"

	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/problem"
)

// Part is something that the backend needs, such as the database.
type Part struct {
	Name  string
	State string // what is wrong, in words that anybody may read; "" when it is well
	Down  bool   // the backend cannot serve without
	Cause error  // for the log
}

// liveness tells that the process answers.
func liveness(w http.ResponseWriter, _ *http.Request) {
	Quiet(w)
	writeJSON(w, http.StatusOK, []byte(`{"status":"ok"}`+"\n"))
}

// readiness tells whether requests should be sent here: 200 with the state of each part, or a problem that names those
// that are down.
func (a *API) readiness(w http.ResponseWriter, r *http.Request) {
	Quiet(w)
	states := map[string]string{"status": "ready"}
	var down []problem.FieldError
	for _, part := range a.Ready(r.Context()) {
		states[part.Name] = part.State
		if part.State == "" {
			states[part.Name] = "ok"
		}
		if part.Down {
			down = append(down, problem.FieldError{Location: part.Name, Message: part.State})
		}
	}
	if len(down) > 0 {
		e := problem.Fields(problem.Unavailable, down)
		e.Detail = "not ready: " + down[0].Location + " " + down[0].Message
		request := caller.RequestOf(r.Context())
		e.Write(w, request.ID, request.Trace)
		return
	}
	body, err := json.Marshal(states)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, append(body, '\n'))
}
