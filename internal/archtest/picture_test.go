package archtest

import "strings"

// row is one line of the picture: what a folder is, and which of the project's
// folders its production code may import. Folders are named from the project's
// root, which is "."; "internal/..." stands for all folders below it that have
// no row of their own.
type row struct {
	folder  string
	may     []string
	kind    kind
	because string
}

// kind says what holds for a folder beside its list.
type kind int

const (
	ordinary kind = iota
	plain         // imports nothing but the standard library from outside
	helper        // serves tests: production code doesn't import it
	wires         // may import everything but helpers
)

// picture is the architecture: the lower layers first. A new package gets its
// row here, with the reason, in the same commit.
var picture = []row{
	{".", nil, plain, "the words all others speak: no I/O, so that nothing comes with them"},
	{"migrations", nil, plain, "embedded SQL and nothing that runs it"},
	{"internal/...", nil, plain, "small private helpers that all may import: so they import nobody"},

	{"conditions", list("."), ordinary, "CEL over a view: knows fields, not states"},
	{"states", list(". conditions"), ordinary, "classification is conditions in order"},
	{"rules", list(". conditions states"), ordinary, "a rule is an edge between states; its guards are pure decisions"},
	{"lifecycle", list("."), ordinary, "the transition tables know cases, not what moves them"},

	{"connectors", list(". conditions"), ordinary, "a connector knows its service; conditions turn arguments into requests"},
	{"connectors/http", list(". conditions connectors"), ordinary, "one kind of connector"},
	{"connectors/sql", list(". conditions connectors"), ordinary, "one kind of connector"},
	{"connectors/connectortest", list(". conditions connectors"), helper, "what every connector has to keep, whatever its kind"},

	{"store", list(". lifecycle migrations"), ordinary, "durable truth: checks transitions, decides nothing"},
	{"queue", list("."), ordinary, "a wake-up carries an ID and no truth"},
	{"queue/river", list(". queue"), ordinary, "one kind of queue"},
	{"queue/queuetest", list("queue"), helper, "what every queue has to keep, whatever carries its wake-ups"},

	{"reconciler", list(". conditions states rules lifecycle connectors store queue"), ordinary, "scan and heal: where reading, deciding and writing meet"},
	{"desk", list(". states rules lifecycle store queue"), ordinary, "what people may do becomes rows; it never sends, so it has no connectors"},
	{"escalation", list(". lifecycle store queue desk"), ordinary, "which case belongs to which incident, and when to tell whom"},
	{"escalation/slack", list(". escalation"), ordinary, "one way to tell people: knows notices, not cases"},
	{"escalation/webhook", list(". escalation"), ordinary, "one way to tell people: knows notices, not cases"},
	{"escalation/slacktest", nil, ordinary, "a stand-in for Slack's own server: knows Slack alone; the demo runs it too"},
	{"dashboard", list(". conditions states rules lifecycle store desk"), ordinary, "shows what the store holds and acts through the desk alone"},

	{"check", list(". conditions states rules"), ordinary, "proves things about the machine without running it"},
	{"rehearsal", list(". bank config connectors connectors/http connectors/sql desk escalation queue reconciler store"), ordinary, "runs the real engine against services that go wrong: so it puts one together, as cmd does"},
	{"config", list(". conditions states rules connectors"), ordinary, "turns documents into the machine; wires no store and no queue"},
	{"bank", list("."), ordinary, "services of somebody else: must not know how amend works"},

	{"bench", list(". config connectors connectors/http lifecycle queue queue/river reconciler store internal/testpg"), helper, "measures the whole against hand-written loops"},
	{"bench/services", nil, helper, "services of somebody else, for benchmarks: must not know how amend works"},
	{"bench/hand", list("bench/services"), helper, "the limit that amend is measured against: owes it nothing"},
	{"bench/scans", list("bank bench/hand bench/services config connectors connectors/http dashboard desk lifecycle queue reconciler rules store internal/testpg"), helper, "runs whole scans and compares them: so it puts an engine together, as cmd does"},

	{"cmd", nil, wires, "the one place that wires packages together"},
	{"cmd/amend", list("cmd"), ordinary, "three lines, so that others can write a main of their own"},

	{"internal/archtest", nil, helper, "this test"},
	{"internal/testproc", nil, helper, "runs a program as long as a test process"},
	{"internal/testpg", list("internal/testproc"), helper, "a PostgreSQL database for a test"},
	{"internal/testproxy", nil, helper, "a network that goes wrong between a test and PostgreSQL"},
	{"internal/faults", list("bank cmd escalation/slacktest internal/crash internal/testpg internal/testproxy"), helper, "tests of amend as a process among processes: they need the program as it is started"},
	{"internal/testbrowser", list("internal/testproc"), helper, "a browser tab for a test"},
}

// homes are modules that one folder alone may import, its tests included.
var homes = []struct{ module, folder, because string }{
	{"github.com/riverqueue/", "queue/river", "a queue is replaced in one place, and what River keeps is asked by nobody"},
}

// list splits folder names.
func list(names string) []string {
	return strings.Fields(names)
}

// lookup finds a folder's row.
func lookup(rows []row, folder string) (row, bool) {
	for _, r := range rows {
		if r.folder == folder {
			return r, true
		}
	}
	for _, r := range rows {
		if above, ok := strings.CutSuffix(r.folder, "..."); ok && strings.HasPrefix(folder, above) {
			return r, true
		}
	}
	return row{}, false
}
