package main

import (
	"time"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/bench/internal/todo"
	"github.com/capebase/capebase/policy"
)

// Part is a row like a Todo, of one of many tables. CapeBase takes types, so there must be one for each: T is a number,
// written in the binary system.
type Part[T number] struct {
	ID         int64     `json:"id"`
	UserID     string    `json:"user_id" gorm:"index" cape:"auth.id"`
	Task       string    `json:"task" minLength:"1" maxLength:"200"`
	IsComplete bool      `json:"is_complete"`
	InsertedAt time.Time `json:"inserted_at" gorm:"autoCreateTime"`
}

// TableName implements gorm's Tabler.
func (Part[T]) TableName() string { return todo.Part(value[T]()) }

// number is a type that stands for a number.
type number interface{ value() int }

type (
	zero           struct{}
	even[T number] struct{} // twice T
	odd[T number]  struct{} // twice T, and one more
)

func (zero) value() int    { return 0 }
func (even[T]) value() int { return 2 * value[T]() }
func (odd[T]) value() int  { return 2*value[T]() + 1 }

func value[T number]() int {
	var t T
	return t.value()
}

// maxResources is how many parts publishParts knows.
const maxResources = 512

func publishParts(cape *capebase.Cape, n int) { parts512[zero](cape, n) }

func parts1[T number](cape *capebase.Cape, n int) {
	if value[T]() >= n {
		return
	}
	parts := capebase.Publish[Part[T]](cape, capebase.Path(todo.Part(value[T]())))
	parts.Allow(policy.All, policy.Owner(&parts.Fields.UserID))
}

func parts2[T number](cape *capebase.Cape, n int) {
	parts1[even[T]](cape, n)
	parts1[odd[T]](cape, n)
}

func parts4[T number](cape *capebase.Cape, n int) {
	parts2[even[T]](cape, n)
	parts2[odd[T]](cape, n)
}

func parts8[T number](cape *capebase.Cape, n int) {
	parts4[even[T]](cape, n)
	parts4[odd[T]](cape, n)
}

func parts16[T number](cape *capebase.Cape, n int) {
	parts8[even[T]](cape, n)
	parts8[odd[T]](cape, n)
}

func parts32[T number](cape *capebase.Cape, n int) {
	parts16[even[T]](cape, n)
	parts16[odd[T]](cape, n)
}

func parts64[T number](cape *capebase.Cape, n int) {
	parts32[even[T]](cape, n)
	parts32[odd[T]](cape, n)
}

func parts128[T number](cape *capebase.Cape, n int) {
	parts64[even[T]](cape, n)
	parts64[odd[T]](cape, n)
}

func parts256[T number](cape *capebase.Cape, n int) {
	parts128[even[T]](cape, n)
	parts128[odd[T]](cape, n)
}

func parts512[T number](cape *capebase.Cape, n int) {
	parts256[even[T]](cape, n)
	parts256[odd[T]](cape, n)
}
