// Package soak tests the whole program for long: a backend in a process of its own, writers of every kind, subscribers that
// come and go, and kills. Everything in it is a test; scripts/soak and scripts/kill run them for longer than CI does.
//
// Three things that do not know of each other are compared: what writers were told of their transactions, what the
// journal says, and what each subscriber was sent. Each transaction has a tag, which it leaves in the rows that it writes,
// and each write of a row adds one to the row's counter: a lost, doubled or reordered change breaks a chain somewhere.
package soak
