package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"amend"
	"amend/conditions"
	"amend/connectors"
	"amend/rules"
	"amend/states"
)

// document is the top of the configuration language.
type document struct {
	Version   int                  `yaml:"version"`
	Entity    entitySpec           `yaml:"entity"`
	Services  ordered[serviceSpec] `yaml:"services"`
	States    ordered[stateSpec]   `yaml:"states"`
	Rules     ordered[ruleSpec]    `yaml:"rules"`
	Scans     scansSpec            `yaml:"scans"`
	Pause     []windowSpec         `yaml:"pause"`
	Slack     Slack                `yaml:"slack"`
	Dashboard Dashboard            `yaml:"dashboard"`
	Store     Store                `yaml:"store"`
}

type entitySpec struct {
	Name   string `yaml:"name"`
	Plural string `yaml:"plural"`
	ID     string `yaml:"id"`
}

// builder turns the tree into a Config, in the order of dependence: schema,
// then expressions over it, then what uses them.
type builder struct {
	root    *node
	options Options
	decoder *decoder
	doc     document
	cfg     *Config
}

// laterKeys are keys of the language that this version doesn't carry out. They
// are refused: a key that does nothing would be a promise not kept.
var laterKeys = []string{"slack.app_token", "slack.signing_secret", "slack.group", "dashboard.login"}

func (b *builder) build() *Config {
	b.refuseLater("", laterKeys)
	b.doc = document{Entity: entitySpec{Name: "customer"}, Dashboard: Dashboard{Listen: "127.0.0.1:8080"}, Store: Store{URL: "sqlite:amend.db", Keep: Keep{Healed: defaultKeep}}}
	b.decoder.decode(b.root, &b.doc)
	defer b.root.unknown(&b.decoder.problems)
	b.cfg = &Config{Schema: &amend.Schema{}, Machine: &states.Machine{}, Rules: &rules.Set{},
		Slack: b.doc.Slack, Dashboard: b.doc.Dashboard, Store: b.doc.Store, root: b.root}
	b.version()
	b.keep(b.doc.Store.Keep)
	b.entity()
	b.services()
	if len(b.cfg.Schema.Services) == 0 {
		return nil // every name in an expression would be unknown
	}
	env, err := conditions.New(b.cfg.Schema)
	if err != nil {
		b.complain("services", "%s", err)
		return nil
	}
	b.cfg.Environment, b.cfg.Machine.Environment = env, env
	b.states()
	b.rules()
	b.scans()
	b.windows()
	return b.cfg
}

// close lets go of the connectors of a configuration that nobody will use.
func (b *builder) close() error {
	var errs []error
	for _, c := range b.cfg.Connectors {
		if c != nil {
			errs = append(errs, connectors.Close(c))
		}
	}
	return errors.Join(errs...)
}

// complain records a problem at a path.
func (b *builder) complain(path, format string, args ...any) {
	b.take("", amend.Findings{{Path: path, Text: fmt.Sprintf(format, args...)}})
}

// take records findings below a path.
func (b *builder) take(prefix string, findings amend.Findings) {
	for _, f := range findings {
		if p, worth := b.root.place(f.Under(prefix)); worth {
			b.decoder.problems = append(b.decoder.problems, p)
		}
	}
}

// takeAtKey records findings at the key of the last part of a path, where it is
// the name that is wrong and not what stands under it.
func (b *builder) takeAtKey(path string, findings amend.Findings) {
	at, missing := b.root.locate(path)
	if missing != "" {
		b.take(path, findings)
		return
	}
	line, col := at.name()
	for _, f := range findings {
		b.decoder.problems = append(b.decoder.problems, problem{from: at.from, line: line, col: col, text: f.Text, hint: f.Hint})
	}
}

func (b *builder) complainAtKey(path, format string, args ...any) {
	b.takeAtKey(path, amend.Findings{{Text: fmt.Sprintf(format, args...)}})
}

func (b *builder) refuseLater(prefix string, keys []string) {
	for _, key := range keys {
		path := key
		if prefix != "" {
			path = prefix + "." + key
		}
		if _, missing := b.root.locate(path); missing == "" {
			b.complainAtKey(path, "this version does not carry out %s yet", key)
			b.consume(path)
		}
	}
}

// consume marks a key as known, so that it isn't reported twice.
func (b *builder) consume(path string) {
	parts := pathParts(path)
	at := b.root
	for i, part := range parts {
		for e := range at.entries {
			if at.entries[e].key == part {
				at.entries[e].used = at.entries[e].used || i == len(parts)-1
			}
		}
		at = at.get(part)
	}
}

func (b *builder) version() {
	if b.root.get("version") == nil {
		b.complain("version", "the version is missing; write version: 1")
	} else if b.doc.Version != 1 {
		b.complain("version", "version %d is not known; this program reads version 1", b.doc.Version)
	}
}

func (b *builder) keep(k Keep) {
	b.positive("store.keep.healed", k.Healed >= leastKeep, "what has ended is kept for 7d at least: brakes look back so far")
	if k.Audit < leastAudit {
		b.positive("store.keep.audit", false, "the audit is kept for 1y at least")
		return
	}
	b.positive("store.keep.audit", k.Audit >= k.Healed, "the audit is kept at least as long as what it tells of: store.keep.healed is longer")
}

func (b *builder) entity() {
	spec := b.doc.Entity
	e := amend.Entity{Name: spec.Name, Plural: spec.Plural}
	if e.Plural == "" {
		e.Plural = e.Name + "s"
	}
	if spec.ID != "" {
		// The pattern must match the whole ID, however it is written: a half
		// anchored one would let "cus_000001/../admin" through.
		// Compiled by itself first: "a)|(?:b" would break out of the group.
		if _, err := regexp.Compile(spec.ID); err != nil {
			b.complain("entity.id", "this is not a regular expression: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		} else {
			e.ID = regexp.MustCompile(`\A(?:` + spec.ID + `)\z`)
		}
	}
	b.cfg.Schema.Entity = e
}
