package sql

import "amend"

// Bind parses a query that uses {ids}, and writes it for a database.
func Bind(database, text string, values map[string]any) (string, []any, amend.Findings) {
	q, found := parse(text, []string{"ids"}, nil)
	write := map[string]dialect{"sqlite": questionMarks, "postgres": dollars}[database]
	statement, bound := q.bind(write, values)
	return statement, bound, found
}
