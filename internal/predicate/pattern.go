package predicate

import "unicode/utf8"

// Token is a piece of a pattern: a code point, or one of the two wildcards.
type Token struct {
	Rune rune
	Wild Wildcard
}

// Wildcard is what a token matches.
type Wildcard uint8

// The wildcards.
const (
	Literal Wildcard = iota // Rune
	AnyText                 // any text, also none
	AnyRune                 // one code point
)

// Pattern reads a pattern of like or ilike: % and * match any text, _ one code point, and \ takes the next code point
// as it is. A backslash at the end stands for itself. Neighbouring % are one.
func Pattern(pattern string) []Token {
	var tokens []Token
	escaped := false
	for _, r := range pattern {
		switch {
		case escaped:
			tokens = append(tokens, Token{Rune: r})
			escaped = false
		case r == '\\':
			escaped = true
		case r == '%' || r == '*':
			if n := len(tokens); n == 0 || tokens[n-1].Wild != AnyText {
				tokens = append(tokens, Token{Wild: AnyText})
			}
		case r == '_':
			tokens = append(tokens, Token{Wild: AnyRune})
		default:
			tokens = append(tokens, Token{Rune: r})
		}
	}
	if escaped {
		tokens = append(tokens, Token{Rune: '\\'})
	}
	return tokens
}

// matchPattern is the linear-space algorithm with one point to return to: the last % seen. Its time is the product of
// both lengths at worst; filters bound the pattern's.
func matchPattern(pattern, text string, fold bool) bool {
	tokens := Pattern(pattern)
	at, star, mark := 0, -1, ""
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case at < len(tokens) && tokens[at].Wild == AnyText:
			star, mark = at, text
			at++
		case at < len(tokens) && (tokens[at].Wild == AnyRune || sameRune(tokens[at].Rune, r, fold)):
			text = text[size:]
			at++
		case star >= 0:
			_, size = utf8.DecodeRuneInString(mark)
			mark = mark[size:]
			text, at = mark, star+1
		default:
			return false
		}
	}
	for at < len(tokens) && tokens[at].Wild == AnyText {
		at++
	}
	return at == len(tokens)
}

func sameRune(a, b rune, fold bool) bool {
	return a == b || fold && lowerASCII(a) == lowerASCII(b)
}

func lowerASCII(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}
