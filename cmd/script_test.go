package cmd_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"amend/bank"
	"amend/cmd"
	"amend/internal/testpg"
)

// TestMain lets scripts run amend as a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"amend": func() { os.Exit(cmd.Main(os.Args[1:])) },
	})
}

// TestScripts runs the command line as people type it: against a real bank, on
// a real store.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"bank": startBank, "fault": setFault, "worker": awaitWorker, "sent": requireSent, "until": awaitOutput, "tamper": tamper,
			"postgres": func(ts *testscript.TestScript, _ bool, _ []string) { ts.Setenv("POSTGRES", testpg.New(t)) }},
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
	})
}

// startBank starts a bank for the script: bank N SEED. Its services stand in
// the environment, and its configuration in bank.yaml.
func startBank(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: bank CUSTOMERS SEED")
	}
	var o bank.Options
	if _, err := fmt.Sscan(strings.Join(args, " "), &o.Customers, &o.Seed); err != nil {
		ts.Fatalf("bank: %v", err)
	}
	b, err := bank.New(o)
	ts.Check(err)
	ts.Check(b.Start())
	ts.Defer(func() { ts.Check(b.Close()) })
	for name, value := range b.Env() {
		ts.Setenv(name, value)
	}
	ts.Setenv("SETTLE", "50ms")
	ts.Setenv("AMEND_STORE", "sqlite:"+ts.MkAbs("amend.db"))
	ts.Setenv("CONTROL", b.ControlURL())
	ts.Check(os.WriteFile(ts.MkAbs("bank.yaml"), bank.Configuration, 0o600))
	ts.Check(os.MkdirAll(ts.MkAbs("config"), 0o700))
	ts.Check(os.WriteFile(ts.MkAbs("config/bank.yaml"), bank.Configuration, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("config/deploy.yaml"), []byte("version: 1\nstore: {url: \"${AMEND_STORE}\"}\ndashboard: {listen: \"127.0.0.1:0\"}\n"), 0o600))
	active := inOrder(b)
	ts.Setenv("ACTIVE", active[0])
	ts.Setenv("OTHER", active[1])
	ts.Setenv("REJECTED", planted(b, "rejected_but_open")[0])
	ts.Setenv("MOVED", planted(b, "email_differs")[0])
	banks.Store(ts.Getenv("CONTROL"), b)
}

// TestDocsRun runs every command that the docs show: each line of a sh block
// must be known here, so that a new one can't go untested.
func TestDocsRun(t *testing.T) {
	t.Parallel()
	tested := map[string]string{
		"go run ./cmd/amend demo":                                   "TestDemo/Live",
		"go run ./cmd/amend demo --once --customers 10000 --seed 7": "TestDemo/Once, with fewer customers",
		"make check":                                 "this test is part of it",
		"amend check --config bank.yaml":             "testdata/script/check.txtar",
		"amend plan --config bank.yaml":              "testdata/script/plan.txtar",
		"amend run --config bank.yaml":               "testdata/script/run.txtar",
		"amend scan":                                 "testdata/script/scan.txtar",
		"amend scan list":                            "testdata/script/scan.txtar",
		"amend scan pause":                           "testdata/script/scan.txtar",
		"amend scan resume":                          "testdata/script/scan.txtar",
		"amend scan cancel":                          "testdata/script/scan.txtar",
		"amend scan --ids ids.txt":                   "testdata/script/ids.txtar",
		"amend migrate --from sqlite:amend.db":       "testdata/script/migrate.txtar",
		"amend audit verify --config bank.yaml":      "testdata/script/audit.txtar",
		"amend forget cus_000042 --config bank.yaml": "testdata/script/forget.txtar",
	}
	for _, line := range shellLines(t) {
		require.Contains(t, tested, line, "the docs show a command that no test runs")
	}
}

// TestDocsExcerpts holds every piece of configuration in the docs against the
// reference example.
func TestDocsExcerpts(t *testing.T) {
	t.Parallel()
	for file, blocks := range fenced(t, "yaml") {
		for _, block := range blocks {
			require.Contains(t, string(bank.Configuration), block, "%s shows configuration that isn't bank.yaml's", file)
		}
	}
}

func shellLines(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, blocks := range fenced(t, "sh") {
		for _, block := range blocks {
			lines = append(lines, strings.Split(strings.TrimSpace(block), "\n")...)
		}
	}
	require.NotEmpty(t, lines)
	return lines
}

// fenced collects the code blocks of a language from README and docs.
func fenced(t *testing.T, language string) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("../docs/*.md")
	require.NoError(t, err)
	found := map[string][]string{}
	for _, file := range append(files, "../README.md") {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for i, part := range strings.Split(string(text), "```") {
			if rest, is := strings.CutPrefix(part, language+"\n"); is && i%2 == 1 {
				found[file] = append(found[file], rest)
			}
		}
	}
	return found
}
