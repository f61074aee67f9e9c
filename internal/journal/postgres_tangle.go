package journal

// Triggers see a row's changes in the order of the statements that make them, with one exception: where an AFTER trigger
// of the user's changes a row that the statement which fired it has changed too, the change within is seen first when
// the row's turn comes after that of the row which fired the trigger. The images tell the true order.

const (
	// tangleLimit is the most entries of a transaction that are put in order.
	tangleLimit = 10_000
	// tangleSteps bounds the search for the order of one row.
	tangleSteps = 1_000
)

// untangle puts the entries of a transaction, which are in the order in which they were written, into one in which each
// row's before is its last after. It depends on nothing but the entries, so that all who read them agree.
func untangle(rows []postgresRow) {
	deep := false
	for i := range rows {
		deep = deep || rows[i].deep
	}
	if !deep || len(rows) > tangleLimit {
		return
	}
	type identity struct{ table, key string }
	places := make(map[identity][]int)
	for i := range rows {
		at := identity{rows[i].table, rows[i].key}
		places[at] = append(places[at], i)
	}
	for _, at := range places {
		chain := make([]postgresRow, len(at))
		for i, place := range at {
			chain[i] = rows[place]
		}
		for i, r := range untangled(chain) {
			rows[at[i]] = r
		}
	}
}

// untangled returns the entries of one row in an order that fits, the first one found as close to the given one as can
// be, or as they are when there is none.
func untangled(chain []postgresRow) []postgresRow {
	fits := true
	for i := 1; i < len(chain); i++ {
		fits = fits && chain[i-1].after == chain[i].before
	}
	if fits {
		return chain
	}
	order := make([]postgresRow, 0, len(chain))
	used := make([]bool, len(chain))
	steps := 0
	var extend func() bool
	extend = func() bool {
		if len(order) == len(chain) {
			return true
		}
		if steps++; steps > tangleSteps {
			return false
		}
		for i := range chain {
			if used[i] || len(order) > 0 && order[len(order)-1].after != chain[i].before {
				continue
			}
			used[i] = true
			order = append(order, chain[i])
			if extend() {
				return true
			}
			used[i] = false
			order = order[:len(order)-1]
		}
		return false
	}
	if !extend() {
		return chain
	}
	return order
}
