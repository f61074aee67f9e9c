package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// client writes by the generated routes; each script is one request, whatever its steps say.
type client struct {
	backend *backend
	author  *author
	created []int64 // tasks that it may change, the newest last
}

func (c *client) execute(ctx context.Context, s *script) outcome {
	switch n := c.author.random.IntN(10); {
	case n < 3 || len(c.created) == 0:
		return c.create(ctx, s.tag, 1)
	case n < 4:
		return c.create(ctx, s.tag, 2+c.author.random.IntN(30))
	case n < 8:
		return c.update(ctx, s.tag)
	case n < 9:
		return c.deleteTask(ctx)
	default:
		return c.deleteMemo(ctx)
	}
}

// told is what an answer says about a write of so many rows.
func told(answer *response, err error, wrote int64) outcome {
	switch {
	case err != nil || answer.status >= http.StatusInternalServerError:
		return outcome{cutOff, wrote}
	case answer.status >= http.StatusBadRequest:
		return outcome{state: rolledBack}
	}
	return outcome{committed, wrote}
}

func (c *client) create(ctx context.Context, tag string, n int) outcome {
	bodies := make([]map[string]any, n)
	for i := range bodies {
		bodies[i] = map[string]any{"level": c.author.level(), "v": 1, "tx": tag}
	}
	var body any = bodies
	if n == 1 {
		body = bodies[0]
	}
	c.author.shared.tasks.Add(int64(n))
	answer, err := c.backend.do(ctx, http.MethodPost, "/task", c.author.user(), body)
	o := told(answer, err, int64(n))
	if o.state == committed && n == 1 {
		var made Task
		if err := json.Unmarshal(answer.body, &made); err == nil && made.ID != 0 {
			c.created = append(c.created, made.ID)
		}
	}
	return o
}

func (c *client) pick() int64 { return c.created[c.author.random.IntN(len(c.created))] }

// update adds one to a counter by reading it first, and by If-Match.
func (c *client) update(ctx context.Context, tag string) outcome {
	path := fmt.Sprintf("/task/%d", c.pick())
	answer, err := c.backend.do(ctx, http.MethodGet, path, "admin", nil)
	if err != nil || answer.status != http.StatusOK {
		return outcome{state: rolledBack}
	}
	var found Task
	if err := json.Unmarshal(answer.body, &found); err != nil {
		return outcome{state: rolledBack}
	}
	body := map[string]any{"level": c.author.level(), "v": found.V + 1, "tx": tag}
	answer, err = c.backend.do(ctx, http.MethodPatch, path, "admin", body, "If-Match", answer.header.Get("ETag"))
	return told(answer, err, 1)
}

func (c *client) deleteTask(ctx context.Context) outcome {
	at := c.author.random.IntN(len(c.created))
	id := c.created[at]
	c.created = append(c.created[:at], c.created[at+1:]...)
	answer, err := c.backend.do(ctx, http.MethodDelete, fmt.Sprintf("/task/%d", id), "admin", nil)
	return told(answer, err, 0)
}

func (c *client) deleteMemo(ctx context.Context) outcome {
	answer, err := c.backend.do(ctx, http.MethodDelete, "/memo/"+url.PathEscape(c.author.memo()), "admin", nil)
	return told(answer, err, 0)
}
