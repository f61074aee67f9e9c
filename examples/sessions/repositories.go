package main

import (
	"context"

	"github.com/jmoiron/sqlx"
	"gorm.io/gorm"
)

// sqlxBooks is a repository as one writes it for sqlx and a database of one's own.
type sqlxBooks struct{ db *sqlx.DB }

func (r sqlxBooks) titles(ctx context.Context) ([]string, error) {
	titles := []string{}
	query, args, err := sqlx.In("SELECT title FROM books WHERE finished IN (?) ORDER BY title", []bool{true, false})
	if err != nil {
		return nil, err
	}
	err = r.db.SelectContext(ctx, &titles, r.db.Rebind(query), args...)
	return titles, err
}

// gormShelves is a repository as one writes it for GORM.
type gormShelves struct{ db *gorm.DB }

func (r gormShelves) withBooks() ([]Shelf, error) {
	var shelves []Shelf
	err := r.db.Preload("Books").Order("name").Find(&shelves).Error
	return shelves, err
}
