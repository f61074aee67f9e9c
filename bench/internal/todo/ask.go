package todo

import "fmt"

// Part is the path and the table of one of the many resources that the growth curves' server can have.
func Part(number int) string { return fmt.Sprintf("part%d", number) }

// Ask asks for a path and its query. Header is what there is beside the usual ones, with a CRLF at each line's end.
func (REST) Ask(b []byte, token, path, header string) []byte {
	b = append(b, "GET "...)
	b = append(b, path...)
	b = append(b, " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "...)
	b = append(b, token...)
	b = append(b, "\r\n"...)
	b = append(b, header...)
	return append(b, "\r\n"...)
}

// CreateIn makes a row of a part.
func (REST) CreateIn(b []byte, token, part, task string) []byte {
	b = append(b, "POST /"...)
	b = append(b, part...)
	return end(b, token, []byte(`{"task":"`+task+`","is_complete":false}`))
}

// Numbered is the beginning of a task whose rest is a number, as of those that Create and Update write.
func Numbered() string { return numbered }
