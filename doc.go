// Package capebase turns GORM structs into a permission-checked REST API inside your own net/http program, on SQLite,
// PostgreSQL, MySQL and MariaDB.
//
// A request passes one pipeline, and each step has one package:
//
//	request → identity → parse and validate → rule → transaction → answer
//	          auth       query, body, model   policy  store         rest
//
// A program opens a database, declares what it publishes, and starts:
//
//	cape, err := capebase.Open(sqlite.File("todos.db"), capebase.Config{})
//	todos := capebase.Publish[Todo](cape)
//	todos.Allow(policy.Read, policy.Anyone())
//	todos.Allow(policy.Write, policy.Owner(&todos.Fields.UserID))
//	err = cape.ListenAndServe(ctx, ":8080") // or mount cape, an http.Handler, in any router
//
// Open connects and creates nothing. Declarations record their mistakes; [Cape.Start] reports all of them at once, each
// with the file and line of its call, before it touches the database.
//
// # Models
//
// A model is an ordinary GORM struct. The tag cape says what clients may do with a field:
//
//	cape:"auth.id"         filled from the caller's ID, and never another value
//	cape:"auth.role"       filled from the caller's first role
//	cape:"claims.org_id"   filled from the caller's claim org_id; ",optional" allows callers without it
//	cape:"readonly"        clients may not set it
//	cape:"immutable"       clients may set it on create alone
//	cape:"hidden"          never leaves by HTTP, and no filter, order or error speaks of it
//	cape:"secret"          hidden, and never in the journal
//
// Validation is by huma's tags: minLength, maximum, pattern, enum, format and the like.
package capebase
