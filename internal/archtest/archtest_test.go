package archtest

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// root is the project's folder, seen from this package's.
const root = "../.."

// rules are what is asked of the project. Each returns one sentence for each
// finding.
var rules = map[string]func(tree) []string{
	"EveryPackageIsInThePicture":    missingRows,
	"ImportsAreInThePicture":        forbiddenImports,
	"ModulesStayAtHome":             strayModules,
	"TestsDoNotImportTheCommand":    testsOfTheCommand,
	"RandomnessIsVersionTwo":        oldRandom,
	"EveryPackageSaysWhatItIs":      packageComments,
	"FolderNamesSaySomething":       folderNames,
	"FilesAreShort":                 longFiles,
	"FunctionsAreShort":             longFunctions,
	"NothingIsLeftUnfinished":       marks,
	"TestsDoNotSleep":               sleeps,
	"TestsDoNotSkip":                skips,
	"ThePictureHoldsTogetherItself": func(tree) []string { return brokenRows(picture) },
}

// TestProject asks the rules of the project itself.
func TestProject(t *testing.T) {
	t.Parallel()
	project, err := load(os.DirFS(root))
	require.NoError(t, err)
	require.Greater(t, len(project.folders()), 3, "the project was not found")
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, finding := range rule(project) {
				t.Error(finding)
			}
		})
	}
}

// brokenRows finds rows of the picture that name what isn't there, or give no
// reason.
func brokenRows(rows []row) []string {
	var findings []string
	for i, r := range rows {
		if slices.ContainsFunc(rows[:i], func(other row) bool { return other.folder == r.folder }) {
			findings = append(findings, r.folder+" has two rows; "+whereToWrite)
		}
		if r.because == "" {
			findings = append(findings, r.folder+" gives no reason; "+whereToWrite)
		}
		for _, folder := range r.may {
			if _, found := lookup(rows, folder); !found {
				findings = append(findings, r.folder+" may import "+folder+", which has no row; "+whereToWrite)
			}
		}
	}
	return findings
}

// TestRules breaks each rule on purpose, beside a project that keeps it.
func TestRules(t *testing.T) {
	t.Parallel()
	long := func(lines int) string { return strings.Repeat("// more\n", lines) }
	body := func(lines int) string { return "func f() {\n" + long(lines-2) + "}\n" }
	helper := "import \"testing\"\n"
	table := []struct {
		name, rule, path, text string
		want                   string // part of the only finding; "" for none
	}{
		{"KnownPackage", "EveryPackageIsInThePicture", "store/a.go", "package store", ""},
		{"PrivateHelper", "EveryPackageIsInThePicture", "internal/clock/a.go", "package clock", ""},
		{"UnknownPackage", "EveryPackageIsInThePicture", "wallet/a.go", "package wallet", "package wallet has no row"},
		{"OnlyTests", "EveryPackageIsInThePicture", "wallet/a_test.go", "package wallet", ""},
		{"OtherModule", "EveryPackageIsInThePicture", "nested/wallet/a.go", "package wallet", ""},

		{"AllowedImport", "ImportsAreInThePicture", "store/a.go", `package store; import ("amend"; "amend/lifecycle"; "github.com/x/y")`, ""},
		{"ForbiddenImport", "ImportsAreInThePicture", "dashboard/a.go", `package dashboard; import "amend/connectors"`, "dashboard/a.go imports amend/connectors, but dashboard may import only amend, conditions"},
		{"ImportUpwards", "ImportsAreInThePicture", "bank/a.go", `package bank; import "amend/store"`, "bank may import only amend"},
		{"ImportOfOursByNobody", "ImportsAreInThePicture", "escalation/slacktest/a.go", `package slacktest; import "amend"`, "imports no other package of ours"},
		{"SiblingImport", "ImportsAreInThePicture", "connectors/http/a.go", `package http; import "amend/connectors/sql"`, "connectors/http may import only"},
		{"InTestsAllowed", "ImportsAreInThePicture", "dashboard/a_test.go", `package dashboard; import "amend/connectors"`, ""},
		{"RootWithModule", "ImportsAreInThePicture", "a.go", `package amend; import "golang.org/x/time/rate"`, "amend imports the standard library only"},
		{"RootWithOurs", "ImportsAreInThePicture", "a.go", `package amend; import "amend/store"`, "imports no other package of ours"},
		{"MigrationsWithModule", "ImportsAreInThePicture", "migrations/a.go", `package migrations; import "github.com/pressly/goose/v3"`, "standard library only"},
		{"PrivateHelperByAll", "ImportsAreInThePicture", "bank/a.go", `package bank; import "amend/internal/clock"`, ""},
		{"PrivateHelperWithOurs", "ImportsAreInThePicture", "internal/clock/a.go", `package clock; import "amend"`, "no other package of ours"},
		{"TestHelperInProduction", "ImportsAreInThePicture", "store/a.go", `package store; import "amend/internal/testpg"`, "serves tests alone"},
		{"TestHelperInTheCommand", "ImportsAreInThePicture", "cmd/a.go", `package cmd; import "amend/internal/testpg"`, "serves tests alone"},
		{"CommandWires", "ImportsAreInThePicture", "cmd/a.go", `package cmd; import ("amend/store"; "amend/bank"; "amend/internal/clock")`, ""},
		{"MainIsThin", "ImportsAreInThePicture", "cmd/amend/a.go", `package main; import "amend/store"`, "cmd/amend may import only cmd"},

		{"ModuleAtHome", "ModulesStayAtHome", "queue/river/a.go", `package river; import "github.com/riverqueue/river"`, ""},
		{"ModuleElsewhere", "ModulesStayAtHome", "reconciler/a.go", `package reconciler; import "github.com/riverqueue/river"`, "reconciler/a.go imports github.com/riverqueue/river, but queue/river alone may"},
		{"ModuleInATestElsewhere", "ModulesStayAtHome", "cmd/a_test.go", `package cmd; import "github.com/riverqueue/river/rivertype"`, "queue/river alone may"},

		{"TestOfTheCommand", "TestsDoNotImportTheCommand", "cmd/a_test.go", `package cmd_test; import "amend/cmd"`, ""},
		{"TestOfProcesses", "TestsDoNotImportTheCommand", "internal/faults/a_test.go", `package faults; import "amend/cmd"`, ""},
		{"TestThroughTheCommand", "TestsDoNotImportTheCommand", "store/a_test.go", `package store; import "amend/cmd"`, "store/a_test.go imports amend/cmd"},

		{"NewRandom", "RandomnessIsVersionTwo", "a.go", `package amend; import "math/rand/v2"`, ""},
		{"OldRandom", "RandomnessIsVersionTwo", "a_test.go", `package amend; import "math/rand"`, "use math/rand/v2"},

		{"PackageComment", "EveryPackageSaysWhatItIs", "store/a.go", "// Package store keeps.\npackage store", ""},
		{"NoPackageComment", "EveryPackageSaysWhatItIs", "store/a.go", "package store", `begin one of its files with "// Package store "`},
		{"OtherComment", "EveryPackageSaysWhatItIs", "store/a.go", "// Keeps things.\npackage store", "no package comment"},
		{"CommandComment", "EveryPackageSaysWhatItIs", "cmd/amend/a.go", "// Command amend runs.\npackage main", ""},
		{"NoCommandComment", "EveryPackageSaysWhatItIs", "cmd/amend/a.go", "// Package main runs.\npackage main", `"// Command amend "`},

		{"Noun", "FolderNamesSaySomething", "ledger/a.go", "package ledger", ""},
		{"Vague", "FolderNamesSaySomething", "store/util/a.go", "package util", `folder store/util: "util" says nothing`},

		{"LongestFile", "FilesAreShort", "a.go", "package amend\n" + long(399), ""},
		{"TooLongFile", "FilesAreShort", "a.go", "package amend\n" + long(400), "a.go has 401 lines, at most 400"},
		{"LongestTest", "FilesAreShort", "a_test.go", "package amend\n" + long(799), ""},
		{"TooLongTest", "FilesAreShort", "a_test.go", "package amend\n" + long(800), "at most 800"},
		{"GeneratedFile", "FilesAreShort", "a.go", "// Code generated by hand. DO NOT EDIT.\n\npackage amend\n" + long(500), ""},

		{"LongestFunction", "FunctionsAreShort", "a.go", "package amend\n" + body(80), ""},
		{"TooLongFunction", "FunctionsAreShort", "a.go", "package amend\n" + body(81), "a.go:2: f has 81 lines, at most 80"},
		{"TooLongTestFunction", "FunctionsAreShort", "a_test.go", "package amend\n" + body(161), "at most 160"},

		{"MarkInCode", "NothingIsLeftUnfinished", "a.go", "package amend\n// TO" + "DO: more", "a.go:2: TO" + "DO"},
		{"MarkInText", "NothingIsLeftUnfinished", "docs/a.md", "# FIX" + "ME", "docs/a.md:1"},
		{"MarkInSQL", "NothingIsLeftUnfinished", "a.sql", "-- TO" + "DO", "a.sql:1"},
		{"MarkInPage", "NothingIsLeftUnfinished", "a.html", "<!-- TO" + "DO -->", "a.html:1"},
		{"PartOfAWord", "NothingIsLeftUnfinished", "a.md", "METHO" + "DO and TO" + "DOS", ""},

		{"SleepInTest", "TestsDoNotSleep", "a_test.go", `package amend; import "time"; func f() { time.Sleep(1) }`, "a_test.go:1: time.Sleep"},
		{"SleepInTestHelper", "TestsDoNotSleep", "a.go", "package amend\n" + helper + `import "time"; func f() { time.Sleep(1) }`, "a.go:3: time.Sleep"},
		{"SleepInProduction", "TestsDoNotSleep", "a.go", `package amend; import "time"; func f() { time.Sleep(1) }`, ""},
		{"SleepInBubble", "TestsDoNotSleep", "a_test.go", `package amend; import ("time"; "testing/synctest"); func f() { time.Sleep(1) }`, ""},

		{"Skip", "TestsDoNotSkip", "a_test.go", `package amend; func f(t T) { t.Skip("no database") }`, "a_test.go:1: a test that skips"},
		{"SkipNow", "TestsDoNotSkip", "a_test.go", `package amend; func f(tb T) { tb.SkipNow() }`, "a test that skips"},
		{"OtherSkip", "TestsDoNotSkip", "a_test.go", `package amend; func f(decoder D) { decoder.Skip() }`, ""},
	}
	for _, row := range table {
		t.Run(row.rule+"/"+row.name, func(t *testing.T) {
			t.Parallel()
			project, err := load(fstest.MapFS{
				row.path:        {Data: []byte(row.text)},
				"nested/go.mod": {Data: []byte("module nested")},
				".hidden/a.go":  {Data: []byte("package broken {")},
			})
			require.NoError(t, err)
			require.Contains(t, rules, row.rule)

			findings := rules[row.rule](project)

			if row.want == "" {
				require.Empty(t, findings)
				return
			}
			require.Len(t, findings, 1)
			require.Contains(t, findings[0], row.want)
		})
	}
}

func TestBrokenRows(t *testing.T) {
	t.Parallel()
	why := "because"
	require.Empty(t, brokenRows([]row{{"a", nil, ordinary, why}, {"b", list("a"), ordinary, why}}))
	require.Contains(t, brokenRows([]row{{"a", nil, ordinary, why}, {"a", nil, ordinary, why}})[0], "two rows")
	require.Contains(t, brokenRows([]row{{"a", nil, ordinary, ""}})[0], "no reason")
	require.Contains(t, brokenRows([]row{{"a", list("b"), ordinary, why}})[0], "which has no row")
}

func TestLoad(t *testing.T) {
	t.Parallel()
	_, err := load(fstest.MapFS{"a.go": {Data: []byte("package broken {")}})
	require.ErrorContains(t, err, "parse: a.go:1")
}
