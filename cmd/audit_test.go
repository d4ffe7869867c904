package cmd_test

import (
	"database/sql"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// tamper changes the store past amend: tamper STATEMENT …
func tamper(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: tamper STATEMENT …")
	}
	driver, source := "pgx", ts.Getenv("AMEND_STORE")
	if path, isFile := strings.CutPrefix(source, "sqlite:"); isFile {
		driver, source = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, source)
	ts.Check(err)
	defer db.Close()
	for _, text := range args {
		_, err := db.Exec(text)
		ts.Check(err)
	}
}
