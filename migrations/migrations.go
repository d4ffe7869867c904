// Package migrations holds the schema of the store as numbered SQL, forward
// only, embedded into the program.
package migrations

import (
	"embed"
	"io/fs"
	"slices"
	"strings"
)

// The engines that the store runs on.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

//go:embed *.sql
var all embed.FS

// For holds the migrations of an engine, in the order of their names: those
// that are one text for both (00001_init.sql), and those that only this engine
// can carry out (00002_order.postgres.sql).
func For(engine string) fs.FS { return own{all, engine} }

// own leaves out what belongs to another engine.
type own struct {
	embed.FS
	engine string
}

// ReadDir is part of fs.ReadDirFS.
func (o own) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := o.FS.ReadDir(name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		parts := strings.Split(e.Name(), ".")
		return len(parts) == 3 && parts[1] != o.engine
	}), err
}
