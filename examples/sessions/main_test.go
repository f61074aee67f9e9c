package main

import (
	"strings"
	"testing"
)

const want = `"alice":
  sqlc           [[{Bread kitchen} {Cheese kitchen}] 2]
  empty to them  [[garden]]
  sqlx           [[Bread Cheese]]
  gorm           [garden 0]
  gorm           [kitchen 2]
"bob":
  sqlc           [[{Apples garden}] 1]
  empty to them  [[kitchen]]
  sqlx           [[Apples]]
  gorm           [garden 1]
  gorm           [kitchen 0]
"":
  sqlc           [[] 0]
  empty to them  [[garden kitchen]]
  sqlx           [[]]
  gorm           [garden 0]
  gorm           [kitchen 0]
alice added "Eggs" and finished 3
alice gave a book to bob: false
`

func TestEachCallerSeesTheirRows(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
}
