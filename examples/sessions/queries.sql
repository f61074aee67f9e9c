-- name: ListBooks :many
SELECT books.title, shelves.name AS shelf
FROM books
JOIN shelves ON shelves.id = books.shelf_id
ORDER BY books.title;

-- name: CountBooks :one
SELECT count(*) FROM books;

-- name: AddBook :one
INSERT INTO books (shelf_id, owner, title)
VALUES (?, ?, ?)
RETURNING *;

-- name: FinishBooks :execrows
UPDATE books SET finished = TRUE;

-- name: GiveBook :exec
UPDATE books SET owner = ? WHERE id = ?;

-- name: EmptyShelves :many
SELECT name FROM shelves
WHERE NOT EXISTS (SELECT 1 FROM books WHERE books.shelf_id = shelves.id)
ORDER BY name;
