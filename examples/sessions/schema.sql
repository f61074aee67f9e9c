-- The tables as sqlc needs to know them; at run time CapeBase creates them from the models in main.go.
CREATE TABLE shelves (
  id    INTEGER PRIMARY KEY,
  owner TEXT NOT NULL,
  name  TEXT NOT NULL
);

CREATE TABLE books (
  id       INTEGER PRIMARY KEY,
  shelf_id INTEGER NOT NULL REFERENCES shelves (id),
  owner    TEXT NOT NULL,
  title    TEXT NOT NULL,
  finished BOOLEAN NOT NULL DEFAULT FALSE
);
