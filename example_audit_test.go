package capebase_test

import (
	"context"
	"fmt"
	"log"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/policy"
)

func ExampleCape_Audit() {
	cape := open()
	defer cape.Close() //nolint:errcheck // an example's end

	todos := capebase.Publish[Todo](cape)
	todos.Allow(policy.All, policy.Owner(&todos.Fields.UserID))
	cape.AllowAudit(policy.Role("admin")) // GET /audit, for admins
	if err := cape.Start(context.Background()); err != nil {
		log.Fatal(err)
	}

	call(cape, "alice", "POST", "/todo", `{"task":"write"}`)
	call(cape, "alice", "PATCH", "/todo/1", `{"task":"rest"}`)
	alice := auth.With(context.Background(), auth.Identity{ID: "alice"})
	err := cape.Record(alice, capebase.AuditEvent{Kind: "list-printed", Resource: "todo", Detail: map[string]string{"pages": "2"}})
	if err != nil {
		log.Fatal(err)
	}

	ctx := auth.Privileged(context.Background(), "what did alice do?")
	for entry, err := range cape.Audit(ctx, capebase.AuditQuery{Actor: "alice", Ascending: true}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Event, entry.Resource, entry.Key, entry.Changed, entry.Detail)
	}
	// Output:
	// 201 {"id":1,"user_id":"alice","task":"write","is_complete":false}
	// 200 {"id":1,"user_id":"alice","task":"rest","is_complete":false}
	// INSERT todo 1 [] map[]
	// UPDATE todo 1 [task] map[]
	// list-printed todo  [] map[pages:2]
}
