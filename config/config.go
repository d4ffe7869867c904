// Package config turns the YAML documents into services, states, rules and
// schedules. Whatever is wrong in them is reported with file, line and column,
// all of it at once.
package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"amend"
	"amend/conditions"
	"amend/connectors"
	"amend/rules"
	"amend/states"
)

// Options say what to load and what a configuration may use of its
// surroundings.
type Options struct {
	Path         string // a file, or a folder whose *.yaml files are joined
	Kinds        []connectors.Kind
	Surroundings connectors.Surroundings
	Getenv       func(string) (string, bool)  // default os.LookupEnv
	ReadFile     func(string) ([]byte, error) // default os.ReadFile
}

// Config is a whole configuration, ready to run.
type Config struct {
	Schema      *amend.Schema
	Environment *conditions.Environment
	Machine     *states.Machine
	Rules       *rules.Set
	Connectors  []connectors.Connector // by Schema.Services index
	Scans       Scans
	Windows     []rules.Window // in which nothing is repaired
	Slack       Slack
	Dashboard   Dashboard
	Store       Store

	root *node
}

// Slack says where to tell people.
type Slack struct {
	Token   amend.Secret `yaml:"token"`
	Channel string       `yaml:"channel"`
	APIURL  string       `yaml:"api_url"` // another address than Slack's own, for a proxy or a test
}

// Dashboard says where people look.
type Dashboard struct {
	Listen string `yaml:"listen"`
	URL    string `yaml:"url"` // how people reach it, for links
}

// Store says where the truth is kept.
type Store struct {
	URL   string `yaml:"url"`
	Keep  Keep   `yaml:"keep"`
	Audit string `yaml:"audit"` // the folder of the audit's checkpoints
}

// Keep says how long what is over is kept.
type Keep struct {
	Healed time.Duration `yaml:"healed"` // cases that have ended, with all that belongs to them
	Audit  time.Duration `yaml:"audit"`  // entries of the audit; 0: for ever
}

const (
	defaultKeep = 180 * 24 * time.Hour
	// leastKeep is a week: brakes look back so far.
	leastKeep = 7 * 24 * time.Hour
	// leastAudit is what rules for payments ask of an audit (PCI DSS 4.0, 10.5.1:
	// twelve months). The store itself refuses to cut off what is younger.
	leastAudit = 365 * 24 * time.Hour
)

// Load reads a configuration. The error is *Problems where the documents are
// at fault.
func Load(o Options) (*Config, error) {
	if o.Getenv == nil {
		o.Getenv = os.LookupEnv
	}
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	files, err := find(o.Path)
	if err != nil {
		return nil, err
	}
	root, problems, err := read(files, o.ReadFile)
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		return nil, &Problems{sortProblems(problems)}
	}
	if len(root.entries) == 0 {
		return nil, amend.Errorf(amend.Invalid, "there is nothing in %s: a configuration begins with version: 1", strings.Join(files, ", "))
	}
	b := &builder{root: root, options: o, decoder: &decoder{values: &substituter{o.Getenv, o.ReadFile}}}
	cfg := b.build()
	if len(b.decoder.problems) > 0 {
		if err := b.close(); err != nil {
			return nil, fmt.Errorf("close the connectors: %w", err)
		}
		return nil, &Problems{sortProblems(b.decoder.problems)}
	}
	return cfg, nil
}

// Report turns findings about a loaded configuration into problems with
// places; nil where there are none.
func (c *Config) Report(findings amend.Findings) *Problems {
	if len(findings) == 0 {
		return nil
	}
	var all []problem
	for _, f := range findings {
		if p, worth := c.root.place(f); worth {
			all = append(all, p)
		}
	}
	return &Problems{sortProblems(all)}
}

// find lists the files of a configuration.
func find(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, &amend.Error{Code: amend.NotFound, Text: fmt.Sprintf("there is no configuration at %s", path), Next: "give --config FILE or FOLDER, set AMEND_CONFIG, or try `amend demo`"}
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files []string
	for _, pattern := range []string{"*.yaml", "*.yml"} {
		found, err := filepath.Glob(filepath.Join(path, pattern))
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", path, err)
		}
		files = append(files, found...)
	}
	// Tests of rules stand beside the rules, and aren't configuration.
	files = slices.DeleteFunc(files, func(f string) bool {
		return strings.HasSuffix(strings.TrimSuffix(f, filepath.Ext(f)), "_test")
	})
	if len(files) == 0 {
		return nil, amend.Errorf(amend.NotFound, "the folder %s holds no .yaml file", path)
	}
	slices.Sort(files)
	return files, nil
}

// read parses all files and joins their maps.
func read(files []string, readFile func(string) ([]byte, error)) (*node, []problem, error) {
	root := &node{kind: isMap, line: 1, col: 1}
	var problems []problem
	for _, name := range files {
		data, err := readFile(name)
		if err != nil {
			return nil, nil, fmt.Errorf("read the configuration: %w", err)
		}
		tree, found := parse(name, data)
		problems = append(problems, found...)
		if tree == nil || tree.kind != isMap {
			continue
		}
		if root.from == nil {
			root.from = tree.from
		}
		problems = append(problems, root.join(tree)...)
	}
	return root, problems, nil
}

// join adds another file's entries: the maps whose entries have names are
// united, and the same name twice is a mistake.
func (n *node) join(other *node) []problem {
	var problems []problem
	for _, e := range other.entries {
		mine := n.get(e.key)
		switch {
		case mine == nil:
			n.entries = append(n.entries, e)
		case e.key == "version":
			if mine.text != e.value.text {
				problems = append(problems, e.again(mine))
			}
		case mine.kind == isMap && e.value.kind == isMap && slices.Contains([]string{"services", "states", "rules", "scans"}, e.key):
			problems = append(problems, mine.unite(e.value)...)
		default:
			problems = append(problems, e.again(mine))
		}
	}
	return problems
}

func (n *node) unite(other *node) []problem {
	var problems []problem
	for _, e := range other.entries {
		if mine := n.get(e.key); mine != nil {
			problems = append(problems, e.again(mine))
			continue
		}
		n.entries = append(n.entries, e)
	}
	return problems
}

func (e *entry) again(first *node) problem {
	return problem{from: e.value.from, line: e.line, col: e.col,
		text: fmt.Sprintf("%s is already declared in %s, line %d", e.key, filepath.Base(first.from.name), first.key.line)}
}
