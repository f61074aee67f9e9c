// Package accounts is built-in sign-up, sign-in and sessions: users with e-mail addresses and passwords, browser sessions
// in cookies, bearer tokens and API keys for everything else.
//
//	users := accounts.New[accounts.User](cape, accounts.Config{})
//	cape.UseAuth(users)
//
// It stands on CapeBase's public API alone. Its tables are published models, so they are migrated and journaled like any
// other; what is secret (hashes of passwords, tokens and keys) is in secret columns, which never reach the journal.
package accounts
