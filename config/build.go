package config

import (
	"fmt"
	"regexp"

	"amend"
	"amend/conditions"
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
var laterKeys = []string{"slack.app_token", "slack.signing_secret", "slack.group", "dashboard.login", "store.keep"}

func (b *builder) build() *Config {
	b.refuseLater("", laterKeys)
	b.doc = document{Entity: entitySpec{Name: "customer"}, Dashboard: Dashboard{Listen: "127.0.0.1:8080"}, Store: Store{URL: "sqlite:amend.db"}}
	b.decoder.decode(b.root, &b.doc)
	b.cfg = &Config{Schema: &amend.Schema{}, Machine: &states.Machine{}, Rules: &rules.Set{},
		Slack: b.doc.Slack, Dashboard: b.doc.Dashboard, Store: b.doc.Store, root: b.root}
	b.version()
	b.entity()
	b.services()
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
	b.root.unknown(&b.decoder.problems)
	return b.cfg
}

// complain records a problem at a path.
func (b *builder) complain(path, format string, args ...any) {
	b.take("", amend.Findings{{Path: path, Text: fmt.Sprintf(format, args...)}})
}

// take records findings below a path.
func (b *builder) take(prefix string, findings amend.Findings) {
	for _, f := range findings {
		b.decoder.problems = append(b.decoder.problems, b.root.place(f.Under(prefix)))
	}
}

func (b *builder) refuseLater(prefix string, keys []string) {
	for _, key := range keys {
		path := key
		if prefix != "" {
			path = prefix + "." + key
		}
		if _, found := b.root.locate(path); found {
			b.complain(path, "this version does not carry out %s yet", key)
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
		b.complain("", "the version is missing; write version: 1")
	} else if b.doc.Version != 1 {
		b.complain("version", "version %d is not known; this program reads version 1", b.doc.Version)
	}
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
		pattern, err := regexp.Compile(`\A(?:` + spec.ID + `)\z`)
		if err != nil {
			b.complain("entity.id", "this is not a regular expression: %s", err)
		}
		e.ID = pattern
	}
	b.cfg.Schema.Entity = e
}
