package journal

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// signature says what a table's triggers record. Each trigger carries it in a comment of its body, so that whatever
// happens to the trigger happens to the signature.
//
// Builds of different age run side by side while a program is deployed: a build is content with triggers that record at
// least what it needs, and replaces others by ones that record what both need. So no two builds ever repair each other,
// and an older one never replaces triggers of a newer format.
type signature struct {
	format  int
	Columns []string `json:"columns"` // in the images
	// Secret columns are in no image; that they changed is recorded. A column that one build calls secret stays so for
	// all, until its triggers are dropped by hand.
	Secret []string `json:"secret,omitempty"`
	// Shape is what else the text of the triggers depends on, found in the catalogue: unique constraints, types.
	Shape string `json:"shape,omitempty"`
}

const signatureMark = "capebase journal "

// comment is the text for a comment of SQL; it never holds the sign that ends one.
func (s signature) comment() string {
	s.format = format
	doc, err := json.Marshal(s) //nolint:gosec // the names of secret columns are none themselves
	if err != nil {
		panic(err) // strings and slices of strings
	}
	return fmt.Sprintf("/* %s%d %s */", signatureMark, format, strings.ReplaceAll(string(doc), "/", `\u002f`))
}

// parseSignature finds the signature in the text of a trigger.
func parseSignature(text string) (s signature, ok bool) {
	_, rest, ok := strings.Cut(text, "/* "+signatureMark)
	if !ok {
		return s, false
	}
	rest, _, ok = strings.Cut(rest, " */")
	if !ok {
		return s, false
	}
	number, doc, ok := strings.Cut(rest, " ")
	if !ok {
		return s, false
	}
	if _, err := fmt.Sscanf(number, "%d", &s.format); err != nil {
		return s, false
	}
	if s.format > format {
		return s, true // its form is not ours to know
	}
	return s, json.Unmarshal([]byte(doc), &s) == nil
}

// covers tells whether triggers with signature s record all that wanted asks for.
func (s signature) covers(wanted signature) bool {
	if s.format != format {
		return s.format > format
	}
	for _, column := range wanted.Columns {
		if !slices.Contains(s.Columns, column) && !slices.Contains(s.Secret, column) {
			return false
		}
	}
	for _, column := range wanted.Secret {
		if !slices.Contains(s.Secret, column) {
			return false
		}
	}
	return s.Shape == wanted.Shape
}

// merge returns what serves both s, which is installed, and wanted. A column of s alone is kept while the table has it.
func (s signature) merge(wanted signature, has func(column string) bool) signature {
	merged := signature{Shape: wanted.Shape}
	add := func(to *[]string, columns []string) {
		for _, column := range columns {
			if has(column) && !slices.Contains(*to, column) && !slices.Contains(merged.Secret, column) {
				*to = append(*to, column)
			}
		}
	}
	add(&merged.Secret, wanted.Secret)
	add(&merged.Secret, s.Secret)
	add(&merged.Columns, wanted.Columns)
	add(&merged.Columns, s.Columns)
	return merged
}

// withheld lists the columns that wanted has in the images and s keeps out of them.
func (s signature) withheld(wanted signature) []string {
	var columns []string
	for _, column := range wanted.Columns {
		if slices.Contains(s.Secret, column) {
			columns = append(columns, column)
		}
	}
	return columns
}
