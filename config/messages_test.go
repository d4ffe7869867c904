package config_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"amend/config"
)

var update = flag.Bool("update", false, "write what is said now into testdata")

const header = "version: 1\n"

// TestMessages compares what people see, word for word and caret for caret. The
// texts are in testdata/messages.txt, so that somebody can read them in one go.
func TestMessages(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	for _, test := range messages {
		files := test.files
		if files == nil {
			files = map[string]string{"bank.yaml": bankWith(t, test.edit...)}
		}
		said.WriteString("# " + test.name + "\n" + message(t, files, test.env) + "\n\n")
	}
	golden := filepath.Join("testdata", "messages.txt")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, []byte(said.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, sections(string(want)), sections(said.String()))
}

func sections(text string) []string { return strings.Split(text, "\n\n") }

// message is the error of loading, without the folder that the test made.
func message(t *testing.T, files map[string]string, env map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	if env == nil {
		env = environment(folder)
	}
	cfg, err := config.Load(options(folder, env))
	if err == nil {
		require.NotNil(t, cfg)
		return "(no error)"
	}
	return strings.NewReplacer(folder+string(filepath.Separator), "", folder, "FOLDER").Replace(err.Error())
}

type messageTest struct {
	name  string
	edit  []string          // pairs: a text of the reference example, and what stands there instead
	files map[string]string // or other files altogether
	env   map[string]string
}

var messages = []messageTest{
	{name: "a misspelt key at the top", edit: []string{"\nstates:\n", "\nsates:\n"}},
	{name: "a misspelt key of a state", edit: []string{"coherent: true\n    for:", "coherrent: true\n    for:"}},
	{name: "a misspelt key below http", edit: []string{"at_once: 16    ", "at_onec: 16    "}},
	{name: "a misspelt key of a service", edit: []string{"owner: {team: Onboarding", "ownr: {team: Onboarding"}},
	{name: "a misspelt key below owner", edit: []string{"team: Cards, slack:", "team: Cards, slak:"}},
	{name: "a misspelt key of read", edit: []string{"one:  {get: \"/accounts/{id}\"", "on:  {get: \"/accounts/{id}\""}},
	{name: "a misspelt key of a read", edit: []string{"max: 500, items: answer.cards", "max: 500, itms: answer.cards"}},
	{name: "a misspelt key of an operation", edit: []string{"repeat: safe\n        if_unchanged: true", "repat: safe\n        if_unchanged: true"}},
	{name: "a misspelt key of repeat", edit: []string{"window: 24h}   # or", "windw: 24h}   # or"}},
	{name: "a misspelt key of a field", edit: []string{"path: item.contact.email, sensitive", "path: item.contact.email, sensitve"}},
	{name: "a misspelt key of sql", edit: []string{"dsn: ${COMPLIANCE_DSN}", "dns: ${COMPLIANCE_DSN}"}},
	{name: "the kind of a service misspelt", edit: []string{"http: {url: \"${BILLING_URL}\"}", "htp: {url: \"${BILLING_URL}\"}"}},
	{name: "a misspelt key of a rule", edit: []string{"attempts: 5", "atempts: 5"}},
	{name: "a misspelt key of limits", edit: []string{"share: 2%", "shre: 2%"}},
	{name: "a misspelt key of scans", edit: []string{"source: [identity", "sources: [identity"}},
	{name: "a key that resembles nothing", edit: []string{"attempts: 5", "flavour: 5"}},
	{name: "a misspelt state in a rule", edit: []string{"from: ledger_missing", "from: ledger_mising"}},
	{name: "a misspelt state in a list", edit: []string{"[card_missing, card_blocked]", "[card_missing, card_bloked]"}},
	{name: "a misspelt service in a rule", edit: []string{"cards.order: {}", "crads.order: {}"}},
	{name: "a misspelt operation", edit: []string{"cards.order: {}", "cards.oder: {}"}},
	{name: "a step without operation", edit: []string{"do: [{cards.order: {}}]", "do: [{if: cards.absent}]"}},
	{name: "a step of two operations", edit: []string{"do: [{cards.order: {}}]", "do: [{cards.order: {}, cards.block: {}}]"}},
	{name: "a step that is no map", edit: []string{"do: [{cards.order: {}}]", "do: [cards.order]"}},
	{name: "steps that are no list", edit: []string{"do: [{cards.order: {}}]", "do: {cards.order: {}}"}},
	{name: "a misspelt service in owner", edit: []string{"owner: ledger\n", "owner: leger\n"}},
	{name: "a misspelt service in source", edit: []string{"source: [identity, ledger", "source: [identity, leger"}},
	{name: "a service that can't list", edit: []string{"source: [identity, ledger", "source: [identity, billing"}},
	{name: "a misspelt field in a condition", edit: []string{"cards.present && cards.status != \"blocked\"", "cards.present && cards.stauts != \"blocked\""}},
	{name: "a misspelt service in a condition", edit: []string{"when: ledger.absent", "when: leger.absent"}},
	{name: "a value that a field never has", edit: []string{"when: cards.status == \"blocked\"", "when: cards.status == \"bloked\""}},
	{name: "a condition in quotes", edit: []string{"when: identity.absent", "when: 'identity.abent'"}},
	{name: "a condition in a block", edit: []string{"when: identity.absent", "when: |\n      cards.absent &&\n      identity.abent"}},
	{name: "a condition over two folded lines", edit: []string{"when: identity.absent", "when: >-\n      cards.absent &&\n      identity.abent"}},
	{name: "a plain condition over two lines", edit: []string{"when: identity.absent", "when: cards.absent &&\n      identity.abent"}},
	{name: "a condition of the wrong type", edit: []string{"when: ledger.absent", "when: ledger.status"}},
	{name: "types that don't go together", edit: []string{"ledger.balance != 0", "ledger.balance != \"0\""}},
	{name: "a condition that doesn't parse", edit: []string{"when: ledger.absent", "when: ledger.absent &&"}},
	{name: "an empty condition", edit: []string{"when: ledger.absent", "when:"}},
	{name: "an argument that is missing", edit: []string{"{billing.start: {email: \"{identity.email}\"}}", "{billing.start: {}}"}},
	{name: "an argument that is unknown", edit: []string{"{billing.start: {email: ", "{billing.start: {mail: "}},
	{name: "an argument of the wrong type", edit: []string{"{billing.start: {email: \"{identity.email}\"}}", "{billing.start: {email: 5}}"}},
	{name: "a misspelt field in an argument", edit: []string{"{billing.start: {email: \"{identity.email}\"}}", "{billing.start: {email: \"{identity.emial}\"}}"}},
	{name: "arguments that are no map", edit: []string{"{cards.order: {}}", "{cards.order: now}"}},
	{name: "a brace that never closes", edit: []string{"{billing.start: {email: \"{identity.email}\"}}", "{billing.start: {email: \"{identity.email\"}}"}},
	{name: "a wrong duration", edit: []string{"timeout: 3s", "timeout: 3 seconds"}},
	{name: "a duration without a unit", edit: []string{"promise: 24h", "promise: 24"}},
	{name: "a wrong share", edit: []string{"share: 2%", "share: 2"}},
	{name: "a wrong number", edit: []string{"attempts: 5", "attempts: many"}},
	{name: "a number out of range", edit: []string{"attempts: 5", "attempts: -1"}},
	{name: "a list where one value belongs", edit: []string{"attempts: 5", "attempts: [5]"}},
	{name: "a value where a map belongs", edit: []string{"limits: {per_hour: 500, at_once: 8, share: 2%}", "limits: 500"}},
	{name: "neither true nor false", edit: []string{"coherent: true\n    for", "coherent: yes\n    for"}},
	{name: "an unknown mode", edit: []string{"mode: manual", "mode: manuel"}},
	{name: "an unknown severity", edit: []string{"severity: high", "severity: hihg"}},
	{name: "an unknown type", edit: []string{"country:    {type: string}", "country:    {type: strng}"}},
	{name: "a field without a type", edit: []string{"country:    {type: string}", "country:    {unit: x}"}},
	{name: "a field that every record has", edit: []string{"country:    {type: string}", "present:    {type: string}"}},
	{name: "an effect on a field that isn't there", edit: []string{"sets: {status: ordered}", "sets: {staus: ordered}"}},
	{name: "an effect that the field never has", edit: []string{"sets: {status: ordered}", "sets: {status: orderd}"}},
	{name: "an effect of the wrong type", edit: []string{"balance: 0}", "balance: zero}"}},
	{name: "an effect from an unknown argument", edit: []string{"currency: \"{currency}\", balance: 0", "currency: \"{curency}\", balance: 0"}},
	{name: "a duplicate key", edit: []string{"mode: manual", "from: closed\n    mode: manual"}},
	{name: "a duplicate state", edit: []string{"  ledger_unusable:\n", "  ledger_missing:\n"}},
	{name: "a name in capitals", edit: []string{"  orphaned:\n", "  Orphaned:\n"}},
	{name: "a state called unseen", edit: []string{"  orphaned:\n", "  unseen:\n"}},
	{name: "a sensitive field in a text", edit: []string{"tell: Your account is in order.", "tell: We write to {identity.email}."}},
	{name: "since is no timestamp", edit: []string{"since: identity.changed_at", "since: identity.country"}},
	{name: "half a pair of sentinels", edit: []string{"sentinels: {present: cus_000001, absent: cus_000000}   #", "sentinels: {present: cus_000001}   #"}},
	{name: "a broken ID pattern", edit: []string{"'^cus_[0-9]{6,}$'", "'^cus_[0-9'"}},
	{name: "a token that can be guessed", edit: []string{"scans:\n", "scans:\n  observe: {token: sesame}\n"}},
	{name: "no token to observe with", edit: []string{"scans:\n", "scans:\n  observe: {tokn: sesame}\n"}},
	{name: "observe without a token", edit: []string{"scans:\n", "scans:\n  observe: {}\n"}},
	{name: "observe is no token", edit: []string{"scans:\n", "scans:\n  observe: sesame\n"}},
	{name: "an empty token", edit: []string{"scans:\n", "scans:\n  observe: {token: \"${OBSERVE_TOKEN}\"}\n"}},
	{name: "an empty token in quotes", edit: []string{"scans:\n", "scans:\n  observe: {token: \"\"}\n"}},
	{name: "a wrong zone", edit: []string{"zone: Europe/Berlin", "zone: Europe/Berln"}},
	{name: "a wrong cron", edit: []string{"\"0 2 * * *\"", "\"0 25 * * *\""}},
	{name: "a read's path without a slash", edit: []string{"one:  {get: \"/cards/{id}\"", "one:  {get: \"cards/{id}\""}},
	{name: "a misspelt name in a path", edit: []string{"one:  {get: \"/cards/{id}\"", "one:  {get: \"/cards/{di}\""}},
	{name: "no version", edit: []string{"version: 1\n", "\n"}},
	{name: "another version", edit: []string{"version: 1\n", "version: 2\n"}},
	{name: "all missing variables together", edit: []string{"mode: manual", "mode: manual"}, env: map[string]string{"COMPLIANCE_DSN": "sqlite:/nowhere/compliance.db"}},
	{name: "a reference that is none", edit: []string{"timeout: 3s", "timeout: ${3s}"}},
	{name: "a reference that never closes", edit: []string{"dsn: ${COMPLIANCE_DSN}", "dsn: ${COMPLIANCE_DSN"}},
	{name: "after a reference", edit: []string{"mode: manual", "mode: ${MODE:-manuel}"}},
	{name: "a secret file where it can be printed", edit: []string{"tell: Your account is in order.", "tell: Your account is ${file:/etc/passwd}."}},
	{name: "a secret file that isn't there", edit: []string{"${IDENTITY_TOKEN}", "${file:/nowhere/token}"}},
	{name: "keys for later", edit: []string{"entity: {", "slack: {app_token: x, group: {within: 5m}}\ndashboard: {login: {}}\nstore: {keep: {healed: 1d, audit: 364d}}\nentity: {", "attempts: 5", "shrinks: n\n    attempts: 5", "    about: The monthly plan.", "    as_of: x\n    id: \"{x}\"\n    about: The monthly plan."}},
	{name: "an audit that is kept for less time than cases", edit: []string{"entity: {", "store: {keep: {healed: 3y, audit: 2y}}\nentity: {"}},
	{name: "an audit that is kept for years", edit: []string{"entity: {", "store: {keep: {healed: 180d, audit: 7y}}\nentity: {"}},
	{name: "several at once", edit: []string{"from: ledger_missing", "from: ledger_mising", "mode: manual", "mode: manuel", "timeout: 3s", "timeout: 3 seconds", "cards.order: {}", "cards.oder: {}"}},
	{name: "a tab", edit: []string{"  identity:\n", "\tidentity:\n"}},
	{name: "a bracket that never closes", edit: []string{"[card_missing, card_blocked]", "[card_missing, card_blocked"}},
	{name: "a colon too many", edit: []string{"tell: Your account is in order.", "tell: Hello: your account is in order."}},
	{name: "wrongly indented", edit: []string{"    about: The monthly plan.", "   about: The monthly plan."}},
	{name: "anchors and aliases", files: map[string]string{"a.yaml": header + "entity: &e {name: x}\nstates: *e\n"}},
	{name: "a merge", files: map[string]string{"a.yaml": header + "entity:\n  <<: {name: x}\n  name: y\n"}},
	{name: "a tag", files: map[string]string{"a.yaml": header + "entity: {name: !!str x}\n"}},
	{name: "an alias bomb", files: map[string]string{"a.yaml": header + "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"}},
	{name: "a list at the top", files: map[string]string{"a.yaml": "- version: 1\n"}},
	{name: "a word at the top", files: map[string]string{"a.yaml": "hello\n"}},
	{name: "an empty file", files: map[string]string{"a.yaml": ""}},
	{name: "comments only", files: map[string]string{"a.yaml": "# nothing\n"}},
	{name: "two documents", files: map[string]string{"a.yaml": header + "---\nversion: 1\n"}},
	{name: "two empty documents", files: map[string]string{"a.yaml": "---\n---\n"}},
	{name: "not text", files: map[string]string{"a.yaml": header + "entity: {name: \"\xff\xfe\x00\"}\n"}},
	{name: "a binary", files: map[string]string{"a.yaml": "\x7fELF\x02\x01\x01\x00\x00"}},
	{name: "too large", files: map[string]string{"a.yaml": header + strings.Repeat("# comment\n", 1<<20)}},
	{name: "too deep", files: map[string]string{"a.yaml": header + "entity: " + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "\n"}},
	{name: "no file at all", files: map[string]string{"a.txt": ""}},
	{name: "a complex key", files: map[string]string{"a.yaml": header + "? [a, b]\n: c\n"}},
	{name: "the same name in two files", files: map[string]string{
		"a.yaml": header + "store: {url: x}\nservices:\n  ledger: {about: one}\n", "b.yaml": header + "store: {url: x}\nservices:\n  ledger: {about: two}\n",
	}},
	{name: "a misspelt key in the second of two files", files: map[string]string{"a.yaml": header + "# one\n# two\n", "b.yaml": "sates: {}\nservices: {Ledger: {}}\n"}},
	{name: "two versions", files: map[string]string{"a.yaml": header, "b.yaml": "version: 2\nservices: {}\n"}},
	{name: "secrets beside a mistake", edit: []string{`auth: {bearer: "${IDENTITY_TOKEN}"}`, `auth: {bearer: hunter2, hedaer: {name: "hunter''3", value: 'hun"ter4'}}`}},
	{name: "quotes in single quotes", edit: []string{"when: identity.absent", "when: 'identity.status == ''approved'' && identity.abent'"}},
	{name: "escapes in double quotes", edit: []string{"when: identity.absent", `when: "identity.status == \"a\u0070proved\" && identity.abent"`}},
	{name: "double quotes over two lines", edit: []string{"when: identity.absent", "when: \"cards.absent &&\n      identity.abent\""}},
	{name: "after an umlaut", edit: []string{"tell: Your account is in order.", `tell: "Grüße, {identity.contry}"`}},
	{name: "after spaces in braces", edit: []string{`{email: "{identity.email}"}}`, `{email: "{  identity.emial }"}}`}},
	{name: "after doubled braces", edit: []string{"tell: Your account is in order.", "tell: A {{ and {identity.contry}."}},
	{name: "in a block with blank lines", edit: []string{"when: identity.absent", "when: |-\n\n      cards.absent\n\n        && identity.abent\n"}},
	{name: "a limit of zero", edit: []string{"{per_hour: 500, at_once: 8, share: 2%}", "{per_hour: 0, at_once: 0, share: 0%}"}},
	{name: "too few calls an hour", edit: []string{"timeout: 3s, at_once: 8, per_second: 200", "timeout: 3s, at_once: 8, per_hour: 9"}},
	{name: "backoff the wrong way round", edit: []string{"attempts: 5", "backoff: {first: 1h, max: 1m}"}},
	{name: "for in a state that isn't coherent", edit: []string{"when: ledger.absent", "for: 1h\n    when: ledger.absent"}},
	{name: "a service with a dash", edit: []string{"  ledger:\n", "  general-ledger:\n    about: x\n  ledger:\n"}},
	{name: "a field that is a word of CEL", edit: []string{"country:    {type: string}", "in:    {type: string}"}},
	{name: "a list as an argument", edit: []string{`{email: "{identity.email}"}}`, "{email: [a, b]}}"}},
	{name: "a list as an effect", edit: []string{"balance: 0}", "balance: [0]}"}},
	{name: "an argument that is nothing", edit: []string{`{email: "{identity.email}"}}`, "{email: }}"}},
	{name: "what a terminal would obey", edit: []string{"attempts: 5", `"att\e[31mempts": 5`}},
	{name: "services misspelt", edit: []string{"\nservices:\n", "\nsevices:\n"}},
	{name: "a state that is nothing", edit: []string{"  closed:\n    coherent: true\n    when: identity.status == \"rejected\"\n    tell: Your account is closed.\n", "  closed:\n"}},
	{name: "a rule that is a word", edit: []string{"mode: manual\n", "mode: manual\n  other: word\n"}},
	{name: "nothing but a version", files: map[string]string{"a.yaml": header}},
}
