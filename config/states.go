package config

import (
	"fmt"
	"slices"
	"time"

	"amend"
	"amend/conditions"
	"amend/states"
)

type stateSpec struct {
	Coherent bool          `yaml:"coherent"`
	When     string        `yaml:"when"`
	For      time.Duration `yaml:"for"`
	Since    string        `yaml:"since"`
	Settle   time.Duration `yaml:"settle"`
	Severity string        `yaml:"severity"`
	Owner    string        `yaml:"owner"`
	About    string        `yaml:"about"`
	Tell     string        `yaml:"tell"`
	Promise  time.Duration `yaml:"promise"`
	Escalate escalateSpec  `yaml:"escalate"`
}

type escalateSpec struct {
	To     string        `yaml:"to"`
	Remind time.Duration `yaml:"remind"`
}

func (b *builder) states() {
	if len(b.doc.States) == 0 {
		b.complain("states", "no states are declared")
	}
	for _, s := range b.doc.States {
		path, spec := "states."+s.name, s.value
		if slices.Contains([]string{states.Unseen, states.Unknown, states.Nobody}, s.name) {
			b.complainAtKey(path, "%s is a built-in state; call this one something else", s.name)
		}
		state := states.State{Name: s.name, Coherent: spec.Coherent, For: spec.For, Settle: spec.Settle, Owner: spec.Owner,
			About: spec.About, Promise: spec.Promise, Escalate: states.Escalate(spec.Escalate), Severity: states.Severity(spec.Severity)}
		if state.Severity == "" {
			state.Severity = states.Normal
		}
		if known := []string{"low", "normal", "high"}; !slices.Contains(known, string(state.Severity)) {
			b.take(path+".severity", amend.Findings{{Text: fmt.Sprintf("%q is not a severity", spec.Severity), Hint: didYouMean(spec.Severity, known)}})
		}
		if _, service := b.cfg.Schema.Service(spec.Owner); spec.Owner != "" && service == nil {
			b.take(path+".owner", amend.Findings{{Text: fmt.Sprintf("there is no service %s", spec.Owner), Hint: didYouMean(spec.Owner, b.serviceNames())}})
		}
		if at := s.at.get("coherent"); spec.For > 0 && !spec.Coherent && (at == nil || !at.broken) && !s.at.misspelt("coherent") {
			b.complainAtKey(path+".for", "for says how long a state may stay coherent; %s isn't coherent", s.name)
		}
		b.expressions(path, spec, &state)
		b.cfg.Machine.States = append(b.cfg.Machine.States, state)
	}
}

func (b *builder) expressions(path string, spec stateSpec, state *states.State) {
	var findings amend.Findings
	state.When, findings = b.cfg.Environment.Condition(spec.When)
	b.take(path+".when", findings)
	if spec.Since != "" {
		state.Since, findings = b.cfg.Environment.Expression(spec.Since)
		b.take(path+".since", findings)
		if len(findings) == 0 && state.Since.Type() != amend.Timestamp {
			b.complain(path+".since", "since is a timestamp, this is %s", state.Since.Type())
		}
	}
	if spec.Tell != "" {
		state.Tell, findings = b.cfg.Environment.Template(spec.Tell)
		b.take(path+".tell", findings)
		if len(findings) == 0 {
			b.nothingSensitive(path+".tell", state)
		}
	}
}

// nothingSensitive keeps personal data out of what is told and logged.
func (b *builder) nothingSensitive(path string, state *states.State) {
	for _, r := range state.Tell.Reads() {
		if b.sensitive(r) {
			b.complain(path, "%s is sensitive and can't stand in a text", r.Name)
		}
	}
}

func (b *builder) sensitive(r conditions.Reference) bool {
	return r.Service >= 0 && r.Field >= 0 && b.cfg.Schema.Services[r.Service].Fields[r.Field].Sensitive
}

func (b *builder) serviceNames() []string {
	var all []string
	for _, s := range b.cfg.Schema.Services {
		all = append(all, s.Name)
	}
	return all
}
