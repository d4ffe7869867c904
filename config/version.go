package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"amend/conditions"
	"amend/rules"
)

// ruleVersion hashes all that the rule's decision rests on: its own text, the
// conditions of its states and of all before them, and the fields and
// operations that these use. Approvals and evidence bind to it.
func (b *builder) ruleVersion(at *node, rule *rules.Rule) string {
	h := sha256.New()
	b.write(h, at)
	last := -1
	for i, s := range b.doc.States {
		if slices.Contains(rule.From, s.name) {
			last = i
		}
	}
	var reads []conditions.Reference
	for _, state := range b.cfg.Machine.States[:last+1] {
		if state.When != nil {
			fmt.Fprintf(h, "%q when %q\n", state.Name, state.When.Text())
			reads = append(reads, state.When.Reads()...)
		}
	}
	for _, step := range rule.Steps {
		service, operation, _ := strings.Cut(step.Name, ".")
		at, _ := b.root.locate("services." + service + ".operations." + operation)
		b.write(h, at)
		reads = append(reads, step.Reads()...)
	}
	var fields []string
	for _, r := range reads {
		if r.Service >= 0 && r.Field >= 0 {
			fields = append(fields, strings.Replace(r.Name, ".", ".fields.", 1))
		}
	}
	for _, path := range sorted(fields) {
		at, _ := b.root.locate("services." + path)
		fmt.Fprintf(h, "%q ", path)
		b.write(h, at)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// write gives a node's content without its layout, for hashing: the order of
// keys doesn't matter, that of lists does. What ${…} stands for is part of it.
func (b *builder) write(w io.Writer, n *node) { b.writeBut(w, n) }

// notRead are the keys of a service that change neither what is read of it nor
// how: they are for people, or for what is sent.
var notRead = []string{"about", "owner", "slo", "links", "max_age", "operations"}

// notAsked are keys below them that don't change what is asked for: credentials,
// and limits.
var notAsked = append([]string{"headers", "dsn", "timeout", "at_once", "per_second", "per_hour", "max_body"}, secretKeys...)

// serviceVersion hashes how a service is read and what is read of it: what an older version has read needn't be what this one would.
func (b *builder) serviceVersion(at *node) string {
	h := sha256.New()
	var keys []string
	for _, e := range at.entries {
		keys = append(keys, e.key)
	}
	for _, key := range sorted(keys) {
		if !slices.Contains(notRead, key) {
			fmt.Fprintf(h, "%q ", key)
			b.writeBut(h, at.get(key), notAsked...)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// writeBut is write without some keys.
func (b *builder) writeBut(w io.Writer, n *node, but ...string) {
	text, _ := b.decoder.values.replace(n, false)
	fmt.Fprintf(w, "%d %q (", n.kind, text)
	var keys []string
	for _, e := range n.entries {
		keys = append(keys, e.key)
	}
	for _, key := range sorted(keys) {
		if slices.Contains(but, key) {
			continue
		}
		fmt.Fprintf(w, "%q ", key)
		b.writeBut(w, n.get(key), but...)
	}
	for _, item := range n.items {
		b.writeBut(w, item, but...)
	}
	fmt.Fprint(w, ")\n")
}
