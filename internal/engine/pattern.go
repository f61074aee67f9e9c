package engine

import (
	"slices"
	"strings"

	"github.com/capebase/capebase/internal/predicate"
)

// LikePattern writes a pattern for SQL's LIKE … ESCAPE.
func LikePattern(pattern []predicate.Token, escape rune) string {
	var s strings.Builder
	for _, token := range pattern {
		switch token.Wild {
		case predicate.AnyText:
			s.WriteByte('%')
		case predicate.AnyRune:
			s.WriteByte('_')
		default:
			if token.Rune == '%' || token.Rune == '_' || token.Rune == escape {
				s.WriteRune(escape)
			}
			s.WriteRune(token.Rune)
		}
	}
	return s.String()
}

// FoldPattern turns A to Z into a to z.
func FoldPattern(pattern []predicate.Token) []predicate.Token {
	folded := slices.Clone(pattern)
	for i, token := range folded {
		if token.Rune >= 'A' && token.Rune <= 'Z' {
			folded[i].Rune += 'a' - 'A'
		}
	}
	return folded
}
