package migrate

import (
	"cmp"
	"context"
	"fmt"
	"strings"
)

// searchPath is an array of the schemas that statements look through, also those that this user may not use.
const searchPath = `ARRAY(SELECT CASE trim(BOTH ' "' FROM p) WHEN '$user' THEN current_user::text ELSE trim(BOTH ' "' FROM p) END
	FROM unnest(string_to_array(current_setting('search_path'), ',')) AS p)`

// home names a schema for tables without one where their place would change with our own schema: the user is called
// like it, and "$user" is in the search path.
func (s postgresSystem) home(ctx context.Context, q *session) (string, error) {
	rows, err := q.rows(ctx, `SELECT $1::text = ANY (`+searchPath+`),
		(SELECT n FROM unnest(current_schemas(false)) AS n WHERE n <> $1::text LIMIT 1)::text`, ownSchema)
	switch {
	case err != nil || !rows[0].is(0):
		return "", err
	case rows[0].null(1):
		return "", fmt.Errorf("the search path has no schema beside %q, which is CapeBase's own: add search_path=public to the URL", ownSchema)
	}
	return rows[0].text(1), nil
}

func (s postgresSystem) relation(ctx context.Context, q *session, schema, name string) (*relation, error) {
	// Without a schema it is the one that statements find, or would find if they might use the schema it is in.
	found, err := q.rows(ctx, `SELECT n.nspname::text, c.relkind::text,
			(has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))::text, c.oid::text
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relname = $1::text AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
			AND CASE WHEN $2::text <> '' THEN n.nspname = $2::text
				ELSE pg_table_is_visible(c.oid) OR NOT has_schema_privilege(n.oid, 'USAGE') AND n.nspname = ANY (`+searchPath+`) END
		ORDER BY pg_table_is_visible(c.oid) DESC LIMIT 1`, name, schema)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	r := &relation{schema: found[0].text(0), name: name, readable: found[0].is(2)}
	switch found[0].text(1) {
	case "v":
		r.kind = "a view"
	case "m":
		r.kind = "a materialized view"
	case "f":
		r.kind = "a foreign table"
	}
	oid := found[0].text(3)
	for _, look := range [...]func(context.Context, *session, *relation, string) error{s.columns, s.indexes, s.constraints} {
		if err := look(ctx, q, r, oid); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// columns resolves domains, and the default collation to what it is in this database: C for the C locale.
func (s postgresSystem) columns(ctx context.Context, q *session, r *relation, oid string) error {
	rows, err := q.rows(ctx, `SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), b.typname::text,
			(a.attnotnull OR t.typnotnull)::text, pg_get_expr(d.adbin, d.adrelid), a.attidentity::text, a.attgenerated::text,
			CASE WHEN o.collname IS DISTINCT FROM 'default' THEN o.collname::text
				ELSE coalesce(to_jsonb(l) ->> 'datlocale', to_jsonb(l) ->> 'daticulocale', l.datcollate::text) END,
			coalesce(o.collisdeterministic, true)::text,
			(CASE WHEN o.collname = 'default' THEN coalesce(to_jsonb(l) ->> 'datlocprovider', 'c') = 'b'
					OR coalesce(to_jsonb(l) ->> 'datlocprovider', 'c') = 'c' AND l.datcollate IN ('C', 'POSIX')
				ELSE o.collname IN ('C', 'POSIX', 'ucs_basic', 'pg_c_utf8') END)::text
		FROM pg_attribute a
		JOIN pg_type t ON t.oid = a.atttypid
		JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
		JOIN pg_database l ON l.datname = current_database()
		LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		LEFT JOIN pg_collation o ON o.oid = a.attcollation
		WHERE a.attrelid = $1::text::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, oid)
	if err != nil {
		return err
	}
	for _, row := range rows {
		c := actualColumn{
			name: row.text(0), declared: row.text(1), base: row.text(2), nullable: !row.is(3),
			fallback: !row.null(4), generated: row.text(6) != "", increments: row.text(5) != "",
			digits: precisionOf(row.text(1)),
		}
		c.computed = strings.Contains(row.text(4), "(")
		c.increments = c.increments || strings.HasPrefix(row.text(4), "nextval(")
		if !row.null(7) {
			c.collation = cmp.Or(row.text(7), "C")
			c.unstable = !row.is(8)
			c.foreign = !row.is(9)
		}
		r.columns = append(r.columns, c)
	}
	return nil
}

func (s postgresSystem) indexes(ctx context.Context, q *session, r *relation, oid string) error {
	rows, err := q.rows(ctx, `SELECT c.relname::text, i.indisunique::text, (i.indpred IS NOT NULL)::text, i.indisprimary::text, a.attname::text
		FROM pg_index i
		JOIN pg_class c ON c.oid = i.indexrelid
		CROSS JOIN LATERAL generate_series(1, i.indnkeyatts) AS k(n)
		LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.n - 1] AND a.attnum > 0
		WHERE i.indrelid = $1::text::oid AND i.indisvalid ORDER BY c.relname, k.n`, oid)
	if err != nil {
		return err
	}
	for _, row := range rows {
		last := len(r.indexes) - 1
		if last < 0 || r.indexes[last].name != row.text(0) {
			r.indexes = append(r.indexes, actualIndex{name: row.text(0), unique: row.is(1), partial: row.is(2)})
			last++
		}
		r.indexes[last].parts = append(r.indexes[last].parts, actualPart{column: row.text(4)})
		if row.is(3) {
			r.key = append(r.key, row.text(4))
		}
	}
	return nil
}

// constraints reads foreign keys, a row for each column, and checks.
func (s postgresSystem) constraints(ctx context.Context, q *session, r *relation, oid string) error {
	rows, err := q.rows(ctx, `SELECT o.conname::text, o.contype::text, n.nspname::text, f.relname::text, a.attname::text, b.attname::text,
			o.confupdtype::text, o.confdeltype::text
		FROM pg_constraint o
		LEFT JOIN LATERAL unnest(o.conkey, o.confkey) WITH ORDINALITY AS k(own, other, n) ON o.contype = 'f'
		LEFT JOIN pg_class f ON f.oid = o.confrelid
		LEFT JOIN pg_namespace n ON n.oid = f.relnamespace
		LEFT JOIN pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = k.own
		LEFT JOIN pg_attribute b ON b.attrelid = o.confrelid AND b.attnum = k.other
		WHERE o.conrelid = $1::text::oid AND o.contype IN ('f', 'c') ORDER BY o.conname, k.n`, oid)
	if err != nil {
		return err
	}
	actions := map[string]string{"a": "", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
	for _, row := range rows {
		if row.text(1) == "c" {
			r.checks = append(r.checks, row.text(0))
			continue
		}
		last := len(r.references) - 1
		if last < 0 || r.references[last].name != row.text(0) {
			r.references = append(r.references, actualReference{
				name: row.text(0), schema: row.text(2), target: row.text(3), onUpdate: actions[row.text(6)], onDelete: actions[row.text(7)],
			})
			last++
		}
		r.references[last].columns = append(r.references[last].columns, row.text(4))
		r.references[last].targetColumns = append(r.references[last].targetColumns, row.text(5))
	}
	return nil
}

func (s postgresSystem) schemaExists(ctx context.Context, q *session, schema string) (bool, error) {
	rows, err := q.rows(ctx, "SELECT 1 FROM pg_namespace WHERE nspname = $1::text", schema)
	return len(rows) > 0, err
}

func (s postgresSystem) dropSchema(ctx context.Context, q *session, schema string) error {
	left, err := q.rows(ctx, `SELECT 1 FROM pg_namespace n WHERE n.nspname = $1::text
		AND NOT EXISTS (SELECT 1 FROM pg_class c WHERE c.relnamespace = n.oid)
		AND NOT EXISTS (SELECT 1 FROM pg_proc p WHERE p.pronamespace = n.oid)
		AND NOT EXISTS (SELECT 1 FROM pg_type t WHERE t.typnamespace = n.oid)`, schema)
	if err != nil || len(left) == 0 {
		return err
	}
	return q.exec(ctx, "DROP SCHEMA "+q.dialect.Quote(schema))
}

// contents has nothing to look for: the types see to the form.
func (postgresSystem) contents(context.Context, *session, *writer, *table) ([]string, error) {
	return nil, nil
}
