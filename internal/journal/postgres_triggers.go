package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// postgresTable is what the triggers of a table are made from.
type postgresTable struct {
	schema, name string // as the catalogue has them
	recorded     string // as entries have it
	signature
	key   []string
	types map[string]string // of all columns, by name; what a domain stands for
}

const (
	postgresRowTrigger      = "!capebase" // the sign makes it fire before those of others
	postgresTruncateTrigger = "!capebase_truncate"
	// postgresImageColumns are written by one call of jsonb_build_object, which takes at most 100 arguments.
	postgresImageColumns = 50
)

func postgresQuote(identifier string) string {
	return `"` + strings.ReplaceAll(identifier, `"`, `""`) + `"`
}

// postgresText writes text so that it means the same whatever the session's settings are.
func postgresText(text string) string {
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	if strings.Contains(text, `\`) {
		return "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

// The triggers call two functions of the table's own. They take the columns that they record out of the whole row as
// JSON, and name none: a column that is dropped then is NULL in the images, instead of making all writes to the table
// fail. What JSON does not have exactly is mended from the row itself, once the column is known to be there.
//
// The functions are their owner's in rights, so that whoever may write to the table needs none on the journal's.

func (t *postgresTable) functions() []string {
	return []string{t.rowFunction(), t.truncateFunction()}
}

func (t *postgresTable) quoted() string { return postgresQuote(t.schema) + "." + postgresQuote(t.name) }

// function is the quoted name of one of the table's functions.
func (t *postgresTable) function(does string) string {
	return "cape." + postgresQuote(t.functionName(does))
}

func (t *postgresTable) functionName(does string) string {
	const longest = 63
	name := does + " " + t.schema + "." + t.name
	if len(name) > longest {
		sum := sha256.Sum256([]byte(name))
		name = strings.ToValidUTF8(name[:longest-17], "") + " " + hex.EncodeToString(sum[:8])
	}
	return name
}

func (t *postgresTable) define(does, settings, body string) string {
	tag := "$capebase$"
	for strings.Contains(body, tag) {
		tag = strings.TrimSuffix(tag, "$") + "e$"
	}
	return "CREATE OR REPLACE FUNCTION " + t.function(does) + "() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER\n" +
		"SET search_path = pg_catalog, pg_temp" + t.settings() + settings + "\nAS " + tag + body + tag
}

// settings pins what the output of the table's types depends on.
func (t *postgresTable) settings() string {
	var text string
	for _, setting := range t.pinned() {
		text += " SET " + setting
	}
	return text
}

func (t *postgresTable) pinned() []string {
	settings := map[string]string{
		"timestamptz": "timezone = 'UTC'", "bytea": "bytea_output = 'hex'",
		"float8": "extra_float_digits = 1", "float4": "extra_float_digits = 1",
	}
	var pinned []string
	for _, column := range t.recordedColumns() {
		if setting := settings[t.types[column]]; setting != "" && !slices.Contains(pinned, setting) {
			pinned = append(pinned, setting)
		}
	}
	slices.Sort(pinned)
	return pinned
}

// recordedColumns are those that decide whether an update changed something.
func (t *postgresTable) recordedColumns() []string {
	return append(slices.Clone(t.Columns), t.Secret...)
}

// shape lists what the text of the functions depends on beside the columns' names.
func (t *postgresTable) shape() []string {
	key, err := json.Marshal(t.key)
	if err != nil {
		panic(err) // strings
	}
	shape := []string{"key " + string(key)}
	for _, setting := range t.pinned() {
		shape = append(shape, "set "+setting)
	}
	for _, column := range t.Columns {
		switch declared := t.types[column]; declared {
		case "json", "jsonb", "float4":
			shape = append(shape, declared+" "+column)
		}
	}
	return shape
}

// covered tells whether functions with the signature record what t asks for.
func (t *postgresTable) covered(by signature) bool {
	has := strings.Split(by.Shape, "\n")
	for _, part := range t.shape() {
		if !slices.Contains(has, part) {
			return false
		}
	}
	wanted := t.signature
	wanted.Shape = by.Shape
	return by.covers(wanted)
}

func (t *postgresTable) rowFunction() string {
	var b strings.Builder
	fmt.Fprintf(&b, ` %s
DECLARE
	old_row jsonb; new_row jsonb; old_image jsonb; new_image jsonb;%s
BEGIN
	IF TG_OP <> 'INSERT' THEN
%s	END IF;
	IF TG_OP <> 'DELETE' THEN
%s	END IF;
	IF TG_OP = 'UPDATE' THEN
		IF old_image = new_image%s THEN
			RETURN NULL;
		END IF;
		IF %s = %s THEN
			%s;
			RETURN NULL;
		END IF;
	END IF;
	IF TG_OP <> 'INSERT' THEN
		%s;
	END IF;
	IF TG_OP <> 'DELETE' THEN
		%s;
	END IF;
	RETURN NULL;
END `,
		t.marked(), t.declareTexts(), t.read("OLD", "old"), t.read("NEW", "new"), t.sameSecrets(),
		t.keyOf("old"), t.keyOf("new"),
		t.journal("U", "new", "old_image", "new_image"),
		t.journal("D", "old", "old_image", "NULL"), t.journal("I", "new", "NULL", "new_image"))
	return t.define("record", "", b.String())
}

// truncateFunction journals a delete for each row. In a transaction with one snapshot it cannot see all that TRUNCATE
// removes: there it notes a gap.
func (t *postgresTable) truncateFunction() string {
	body := fmt.Sprintf(` %s
DECLARE
	gone record; gone_row jsonb; gone_image jsonb;%s
BEGIN
	IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
		INSERT INTO cape.journal (v, tbl, op) VALUES (%d, %s, 'G');
		RETURN NULL;
	END IF;
	FOR gone IN EXECUTE format('SELECT * FROM ONLY %%I.%%I', TG_TABLE_SCHEMA, TG_TABLE_NAME) LOOP
%s		%s;
	END LOOP;
	RETURN NULL;
END `, t.marked(), t.declareTexts(), format, postgresText(t.recorded), t.read("gone", "gone"), t.journal("D", "gone", "gone_image", "NULL"))
	return t.define("truncate", " SET row_security = off", body)
}

// marked is the comment that begins a function's body.
func (t *postgresTable) marked() string {
	s := t.signature
	s.Shape = strings.Join(t.shape(), "\n")
	return s.comment()
}

// read makes the row of a record variable and its image.
func (t *postgresTable) read(row, prefix string) string {
	var b strings.Builder
	for i, column := range t.jsonTexts() {
		// A json can hold what a jsonb cannot: it is taken as text.
		fmt.Fprintf(&b, "\t\ttext%d := NULL;\n\t\tIF EXISTS (SELECT FROM pg_attribute WHERE attrelid = TG_RELID AND attname = %s AND NOT attisdropped) THEN\n", i, postgresText(column))
		fmt.Fprintf(&b, "\t\t\ttext%d := %s.%s::text;\n\t\t\t%s.%s := NULL;\n\t\tEND IF;\n", i, row, postgresQuote(column), row, postgresQuote(column))
	}
	fmt.Fprintf(&b, "\t\t%s_row := to_jsonb(%s);\n", prefix, row)
	for i, column := range t.jsonTexts() {
		fmt.Fprintf(&b, "\t\tIF text%d IS NOT NULL THEN\n\t\t\t%s_row := %s_row || jsonb_build_object(%s, text%d);\n\t\tEND IF;\n",
			i, prefix, prefix, postgresText(column), i)
	}
	fmt.Fprintf(&b, "\t\t%s_image := %s;\n", prefix, t.pick(prefix+"_row"))
	for _, column := range t.Columns {
		image := prefix + "_image"
		member := image + " -> " + postgresText(column)
		value := row + "." + postgresQuote(column)
		// The conditions are nested: an expression is looked at when it is first reached.
		switch t.types[column] {
		case "jsonb": // to_jsonb makes one of NULL and null; a string here is the text of a document
			fmt.Fprintf(&b, "\t\tIF jsonb_typeof(%s) IN ('null', 'string') AND %s_row ? %s THEN\n\t\t\tIF %s IS NOT NULL THEN\n\t\t\t\t%s := %s || jsonb_build_object(%s, %s::text);\n\t\t\tEND IF;\n\t\tEND IF;\n",
				member, prefix, postgresText(column), value, image, image, postgresText(column), value)
		case "float4": // the driver gives all digits of the float8
			fmt.Fprintf(&b, "\t\tIF jsonb_typeof(%s) = 'number' THEN\n\t\t\t%s := %s || jsonb_build_object(%s, %s::float8);\n\t\tEND IF;\n",
				member, image, image, postgresText(column), value)
		}
	}
	return b.String()
}

// jsonTexts are the columns of type json, secret or not: to_jsonb fails for some of their contents.
func (t *postgresTable) jsonTexts() []string {
	var columns []string
	for column, declared := range t.types {
		if declared == "json" {
			columns = append(columns, column)
		}
	}
	slices.Sort(columns)
	return columns
}

func (t *postgresTable) declareTexts() string {
	var text string
	for i := range t.jsonTexts() {
		text += fmt.Sprintf(" text%d text;", i)
	}
	return text
}

// pick takes the columns of the image out of a row. Where the table has no others, the row is the image.
func (t *postgresTable) pick(row string) string {
	whole := len(t.types) > 0
	for column := range t.types {
		whole = whole && slices.Contains(t.Columns, column)
	}
	if whole {
		return row
	}
	var chunks []string
	for chunk := range slices.Chunk(t.Columns, postgresImageColumns) {
		members := make([]string, len(chunk))
		for i, column := range chunk {
			members[i] = postgresText(column) + ", " + row + " -> " + postgresText(column)
		}
		chunks = append(chunks, "jsonb_build_object("+strings.Join(members, ", ")+")")
	}
	return strings.Join(chunks, " || ")
}

func (t *postgresTable) sameSecrets() string {
	var text string
	for _, column := range t.Secret {
		text += " AND old_row -> " + postgresText(column) + " IS NOT DISTINCT FROM new_row -> " + postgresText(column)
	}
	return text
}

// keyOf writes the key as a JSON array.
func (t *postgresTable) keyOf(prefix string) string {
	values := make([]string, len(t.key))
	for i, column := range t.key {
		values[i] = prefix + "_row -> " + postgresText(column)
	}
	return "jsonb_build_array(" + strings.Join(values, ", ") + ")"
}

func (t *postgresTable) journal(op, key, before, after string) string {
	return fmt.Sprintf("INSERT INTO cape.journal (v, tbl, op, key, old, new, actor, db_user) VALUES (%d, %s, '%s', %s, %s, %s, "+
		"nullif(current_setting('capebase.actor', true), ''), session_user)",
		format, postgresText(t.recorded), op, t.keyOf(key), before, after)
}
