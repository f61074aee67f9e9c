package predicate

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// AppendIdentity appends bytes that are equal for two trees only if both give the same answer for every row. They are
// equal for trees that differ in the order, grouping or repetition of operands and constants, or in where they say
// not. The bytes are for comparison within one program; they are no format to store.
func AppendIdentity(dst []byte, e *Expr) []byte { return appendIdentity(dst, e, false) }

// opposite has the comparisons that are true where the others are false, and unknown where they are.
func opposite(op Op) (Op, bool) {
	switch op {
	case True:
		return False, true
	case False:
		return True, true
	case And:
		return Or, true
	case Or:
		return And, true
	case Eq:
		return Ne, true
	case Ne:
		return Eq, true
	case Lt:
		return Ge, true
	case Ge:
		return Lt, true
	case Gt:
		return Le, true
	case Le:
		return Gt, true
	case Unknown, Invalid:
		return Unknown, true
	default:
		return op, false
	}
}

func appendIdentity(dst []byte, e *Expr, negated bool) []byte {
	op := e.Op
	switch op {
	case Not:
		return appendIdentity(dst, e.Args[0], !negated)
	case In:
		if len(e.Values) == 1 {
			op = Eq // they differ in nothing
		}
	}
	if negated {
		var ok bool
		if op, ok = opposite(op); !ok {
			dst = append(dst, byte(Not))
		}
	}
	switch op {
	case And, Or:
		return appendOperands(dst, e, op, negated)
	case True, False, Unknown, SignedIn:
		return append(dst, byte(op))
	case Invalid:
		return append(dst, byte(Unknown))
	case HasRole, Owner, Claim:
		dst = append(dst, byte(op), byte(e.Kind))
		dst = binary.AppendUvarint(dst, uint64(e.Column)) //nolint:gosec // an index
		return appendSorted(dst, e.Names, func(dst []byte, name string) []byte { return appendText(dst, name) })
	}
	dst = append(dst, byte(op))
	dst = binary.AppendUvarint(dst, uint64(e.Column)) //nolint:gosec // an index
	return appendSorted(dst, e.Values, appendValue)
}

// appendOperands appends And or Or, with the operands of operands that are the same drawn up.
func appendOperands(dst []byte, e *Expr, op Op, negated bool) []byte {
	operands := gatherOperands(nil, e, op, negated)
	switch {
	case len(operands) == 0 && op == And:
		return append(dst, byte(True))
	case len(operands) == 0:
		return append(dst, byte(False))
	}
	slices.SortFunc(operands, bytes.Compare)
	operands = slices.CompactFunc(operands, bytes.Equal)
	if len(operands) > 1 {
		dst = append(dst, byte(op))
		dst = binary.AppendUvarint(dst, uint64(len(operands)))
	}
	for _, operand := range operands {
		dst = append(dst, operand...)
	}
	return dst
}

func gatherOperands(operands [][]byte, e *Expr, op Op, negated bool) [][]byte {
	for _, arg := range e.Args {
		inner := negated
		for arg.Op == Not {
			arg, inner = arg.Args[0], !inner
		}
		same := arg.Op
		if inner {
			same, _ = opposite(same)
		}
		if same == op {
			operands = gatherOperands(operands, arg, op, inner)
		} else {
			operands = append(operands, appendIdentity(nil, arg, inner))
		}
	}
	return operands
}

// appendSorted appends how many different items there are, and those in the order of their bytes.
func appendSorted[T any](dst []byte, items []T, appendItem func([]byte, T) []byte) []byte {
	if len(items) == 1 {
		return appendItem(append(dst, 1), items[0])
	}
	encoded := make([][]byte, len(items))
	for i, item := range items {
		encoded[i] = appendItem(nil, item)
	}
	slices.SortFunc(encoded, bytes.Compare)
	encoded = slices.CompactFunc(encoded, bytes.Equal)
	dst = binary.AppendUvarint(dst, uint64(len(encoded)))
	for _, item := range encoded {
		dst = append(dst, item...)
	}
	return dst
}

func appendValue(dst []byte, v Value) []byte {
	dst = append(dst, byte(v.kind))
	switch v.kind {
	case Null:
		return dst
	case Bool, Int, Float, Time:
		return binary.AppendVarint(dst, v.num)
	default:
		return appendText(dst, v.text)
	}
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}
