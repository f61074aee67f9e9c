// Package architecture holds tests of the module as a whole: which package may import which, what a program links, and
// what the public packages export.
package architecture
