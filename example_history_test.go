package capebase_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/policy"
)

func ExampleHistory() {
	cape := open()
	defer cape.Close() //nolint:errcheck // an example's end

	todos := capebase.Publish[Todo](cape, capebase.History())
	todos.Allow(policy.Read, policy.Anyone())
	todos.Allow(policy.Write, policy.Owner(&todos.Fields.UserID))
	if err := cape.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	call(cape, "alice", "POST", "/todo", `{"task":"buy milk"}`)
	call(cape, "alice", "PATCH", "/todo/1", `{"task":"buy cheese","is_complete":true}`)

	answer := httptest.NewRecorder()
	cape.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/todo/1/history", nil))
	var versions []struct {
		Version, Event string
		Payload        Todo
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &versions); err != nil {
		log.Fatal(err)
	}
	for _, v := range versions {
		fmt.Println(v.Event, v.Payload.Task)
	}
	call(cape, "alice", "POST", "/todo/1/revert", `{"version":"`+versions[1].Version+`"}`)
	call(cape, "bob", "POST", "/todo/1/revert", `{"version":"`+versions[0].Version+`"}`)
	// Output:
	// 201 {"id":1,"user_id":"alice","task":"buy milk","is_complete":false}
	// 200 {"id":1,"user_id":"alice","task":"buy cheese","is_complete":true}
	// UPDATE buy cheese
	// INSERT buy milk
	// 200 {"id":1,"user_id":"alice","task":"buy milk","is_complete":false}
	// 403 {"status":403,"title":"Forbidden","detail":"the rules do not allow to change this Todo","code":"permission","request_id":"example"}
}
