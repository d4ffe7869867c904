package archtest

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// whereToWrite ends every message about the picture.
const whereToWrite = "the picture is in internal/archtest/picture_test.go"

// missingRows names the packages that the picture doesn't know.
func missingRows(project tree) []string {
	var findings []string
	for _, folder := range project.folders() {
		if _, found := lookup(picture, folder); !found {
			findings = append(findings, fmt.Sprintf(
				"package %s has no row: add one that says what it may import and why; %s", folder, whereToWrite))
		}
	}
	return findings
}

// forbiddenImports compares the imports of production code with the picture.
func forbiddenImports(project tree) []string {
	var findings []string
	for _, f := range project.production() {
		from, found := lookup(picture, f.folder())
		if !found {
			continue // missingRows says so
		}
		for _, name := range f.imports {
			if why := from.refuses(name); why != "" {
				findings = append(findings, fmt.Sprintf("%s imports %s, but %s; %s", f.path, name, why, whereToWrite))
			}
		}
	}
	return findings
}

// refuses says why a folder may not import a path; "" where it may.
func (r row) refuses(name string) string {
	folder, ours := ownFolder(name)
	if !ours {
		if r.kind == plain && !isStandard(name) {
			return fmt.Sprintf("%s imports the standard library only (%s)", label(r.folder), r.because)
		}
		return ""
	}
	if slices.Contains(r.may, folder) {
		return ""
	}
	to, _ := lookup(picture, folder)
	switch {
	case to.kind == helper && r.kind != helper:
		return fmt.Sprintf("%s serves tests alone (%s)", folder, to.because)
	case to.folder == "internal/...", r.kind == wires:
		return ""
	case len(r.may) == 0:
		return fmt.Sprintf("%s imports no other package of ours (%s)", label(r.folder), r.because)
	}
	names := make([]string, len(r.may))
	for i, folder := range r.may {
		names[i] = label(folder)
	}
	return fmt.Sprintf("%s may import only %s (%s)", label(r.folder), strings.Join(names, ", "), r.because)
}

// strayModules finds imports of a module outside its home.
func strayModules(project tree) []string {
	var findings []string
	for _, f := range project {
		for _, home := range homes {
			for _, name := range f.imports {
				if strings.HasPrefix(name, home.module) && f.folder() != home.folder {
					findings = append(findings, fmt.Sprintf(
						"%s imports %s, but %s alone may (%s); %s", f.path, name, home.folder, home.because, whereToWrite))
				}
			}
		}
	}
	return findings
}

// label is how a folder is called in messages: the root has a better name than
// its dot.
func label(folder string) string {
	if folder == "." {
		return module
	}
	return folder
}

// ownFolder turns an import path of ours into its folder.
func ownFolder(name string) (string, bool) {
	if name == module {
		return ".", true
	}
	return strings.CutPrefix(name, module+"/")
}

// isStandard tells the standard library from modules, whose first element is a
// host name.
func isStandard(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return !strings.Contains(first, ".")
}

// testsOfTheCommand finds tests that reach for the whole program to test a
// part of it. Where the picture lets a folder import the command, the program as
// a whole is what it tests.
func testsOfTheCommand(project tree) []string {
	var findings []string
	for _, f := range project {
		if !f.isTest() || f.folder() == "cmd" || strings.HasPrefix(f.folder(), "cmd/") {
			continue
		}
		if r, found := lookup(picture, f.folder()); found && slices.Contains(r.may, "cmd") {
			continue
		}
		for _, name := range f.imports {
			if name == path.Join(module, "cmd") || strings.HasPrefix(name, module+"/cmd/") {
				findings = append(findings, fmt.Sprintf(
					"%s imports %s: a package is tested through its own parts; tests of the whole program stand in cmd", f.path, name))
			}
		}
	}
	return findings
}

// oldRandom finds imports of the first math/rand, whose global source is
// shared by all.
func oldRandom(project tree) []string {
	var findings []string
	for _, f := range project {
		if f.imported("math/rand") {
			findings = append(findings, f.path+" imports math/rand: use math/rand/v2, seeded where a run must repeat")
		}
	}
	return findings
}
