// Package migrations holds the schema of the store as numbered SQL, forward
// only, embedded into the program.
package migrations

import "embed"

// FS holds the migrations, in the order of their names.
//
//go:embed *.sql
var FS embed.FS
