package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"amend"
	"amend/rules"
)

type ruleSpec struct {
	From      oneOrMany   `yaml:"from"`
	To        oneOrMany   `yaml:"to"`
	Do        []stepSpec  `yaml:"do"`
	Mode      string      `yaml:"mode"`
	Attempts  int         `yaml:"attempts"`
	Backoff   backoffSpec `yaml:"backoff"`
	Limits    limitsSpec  `yaml:"limits"`
	Approvers int         `yaml:"approvers"`
	Confirm   string      `yaml:"confirm"`
	About     string      `yaml:"about"`
	Was       []string    `yaml:"was"`
}

type backoffSpec struct {
	First time.Duration `yaml:"first"`
	Max   time.Duration `yaml:"max"`
}

type limitsSpec struct {
	AtOnce  int   `yaml:"at_once"`
	PerHour int   `yaml:"per_hour"`
	Share   share `yaml:"share"`
}

// stepSpec is {service.operation: {argument: value}, if: condition}.
type stepSpec struct {
	call      string
	arguments map[string]any
	condition string
}

func (s *stepSpec) decode(d *decoder, n *node) {
	if n.kind != isMap {
		d.complain(n, "a step is {service.operation: {argument: value}}")
		return
	}
	for i := range n.entries {
		e := &n.entries[i]
		e.used = true
		switch {
		case e.key == "if":
			s.condition, _ = d.scalar(e.value, false)
		case s.call != "":
			d.problems = append(d.problems, problem{from: e.value.from, line: e.line, col: e.col,
				text: fmt.Sprintf("a step is one operation; put %s into a step of its own", e.key)})
		default:
			s.call = e.key
			arguments, isMapping := d.any(e.value).(map[string]any)
			if !isMapping && e.value.kind != isNull {
				d.complain(e.value, "arguments are a map of names and values")
			}
			s.arguments = arguments
		}
	}
	if s.call == "" {
		d.complain(n, "this step has no operation: {service.operation: {argument: value}}")
	}
}

// The defaults of a rule. Brakes ship switched on.
const (
	defaultAttempts = 5
	defaultAtOnce   = 8
	defaultPerHour  = 500
	defaultShare    = 0.02
	defaultFirst    = 10 * time.Second
	defaultMax      = 10 * time.Minute
)

func (b *builder) rules() {
	for _, r := range b.doc.Rules {
		path, spec := "rules."+r.name, r.value
		b.refuseLater(path, []string{"shrinks"})
		rule := rules.Rule{Name: r.name, From: spec.From, To: spec.To, Mode: rules.Mode(spec.Mode), Attempts: spec.Attempts,
			Backoff: rules.Backoff(spec.Backoff), Approvers: spec.Approvers, Confirm: spec.Confirm, About: spec.About, Was: spec.Was,
			Limits: rules.Limits{AtOnce: spec.Limits.AtOnce, PerHour: spec.Limits.PerHour, Share: float64(spec.Limits.Share)}}
		b.bounds(path, &rule)
		setDefault(&rule.Mode, rules.Observe)
		setDefault(&rule.Attempts, defaultAttempts)
		setDefault(&rule.Backoff.First, defaultFirst)
		setDefault(&rule.Backoff.Max, defaultMax)
		setDefault(&rule.Limits.AtOnce, defaultAtOnce)
		setDefault(&rule.Limits.PerHour, defaultPerHour)
		setDefault(&rule.Limits.Share, defaultShare)
		if rule.Mode == rules.Approve {
			setDefault(&rule.Approvers, 1)
		}
		if !slices.Contains(rules.Modes(), string(rule.Mode)) {
			b.take(path+".mode", amend.Findings{{Text: fmt.Sprintf("%q is not a mode", spec.Mode), Hint: didYouMean(spec.Mode, rules.Modes())}})
		}
		if rule.Backoff.Max < rule.Backoff.First {
			b.complain(path+".backoff.max", "max is below first, which is %s", rule.Backoff.First)
		}
		b.knownStates(path, "from", rule.From)
		b.knownStates(path, "to", rule.To)
		if len(rule.From) == 0 {
			b.complain(path+".from", "the rule %s doesn't say from which states it leads", r.name)
		}
		if len(spec.Do) == 0 {
			b.complain(path+".do", "the rule %s doesn't do anything", r.name)
		}
		for i, step := range spec.Do {
			b.step(fmt.Sprintf("%s.do[%d]", path, i), step, &rule)
		}
		rule.Version = b.ruleVersion(r.at, &rule)
		b.cfg.Rules.Rules = append(b.cfg.Rules.Rules, rule)
	}
}

// bounds finds numbers that are written but can't be meant. A 0 is not taken
// for "not written": that would turn the strictest limit into the default.
func (b *builder) bounds(path string, r *rules.Rule) {
	const least = "%s is at least 1; a rule that shall not run has the mode observe"
	b.positive(path+".attempts", r.Attempts > 0, least, "attempts")
	b.positive(path+".approvers", r.Approvers > 0, least, "approvers")
	b.positive(path+".limits.at_once", r.Limits.AtOnce > 0, least, "at_once")
	b.positive(path+".limits.per_hour", r.Limits.PerHour > 0, least, "per_hour")
	b.positive(path+".limits.share", r.Limits.Share > 0, "share is above 0%%; a rule that shall not run has the mode observe")
	b.positive(path+".backoff.first", r.Backoff.First > 0, "first is above 0")
	b.positive(path+".backoff.max", r.Backoff.Max > 0, "max is above 0")
}

// positive complains of a value that is written but not above 0.
func (b *builder) positive(path string, above bool, format string, args ...any) {
	if at, missing := b.root.locate(path); missing == "" && at.kind != isNull && !above {
		b.complain(path, format, args...)
	}
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

func (b *builder) knownStates(path, key string, names []string) {
	var known []string
	for _, s := range b.doc.States {
		known = append(known, s.name)
	}
	for i, name := range names {
		if len(known) == 0 || slices.Contains(known, name) {
			continue
		}
		at := path + "." + key
		if n, missing := b.root.locate(at); missing == "" && n.kind == isList {
			at = fmt.Sprintf("%s[%d]", at, i)
		}
		b.take(at, amend.Findings{{Text: fmt.Sprintf("there is no state %s", name), Hint: didYouMean(name, known)}})
	}
}

func (b *builder) step(path string, spec stepSpec, rule *rules.Rule) {
	if spec.call == "" {
		return
	}
	at := path + ".[" + spec.call + "]"
	serviceName, operationName, _ := strings.Cut(spec.call, ".")
	index, service := b.cfg.Schema.Service(serviceName)
	if service == nil {
		b.takeAtKey(at, amend.Findings{{Text: fmt.Sprintf("there is no service %s", serviceName), Hint: didYouMean(serviceName, b.serviceNames())}})
		return
	}
	operation := service.Operation(operationName)
	if operation == nil {
		var known []string
		for _, o := range service.Operations {
			known = append(known, o.Name)
		}
		b.takeAtKey(at, amend.Findings{{Text: fmt.Sprintf("%s has no operation %q", serviceName, operationName), Hint: didYouMean(operationName, known)}})
		return
	}
	step := rules.Step{Service: index, Name: spec.call, Operation: operation}
	if spec.condition != "" {
		var findings amend.Findings
		step.If, findings = b.cfg.Environment.Condition(spec.condition)
		b.take(path+".if", findings)
	}
	if operation.Shown != "" {
		var findings amend.Findings
		step.Shown, findings = b.cfg.Environment.Condition(operation.Shown)
		b.take("services."+spec.call[:len(serviceName)]+".operations."+operationName+".shown", findings)
	}
	step.Arguments = b.arguments(at, spec, operation)
	step.Effects = b.effects("services."+serviceName+".operations."+operationName+".sets", service, operation)
	rule.Steps = append(rule.Steps, step)
}

// arguments compiles what a rule gives to an operation, and finds what it
// forgets, invents or gives in a wrong type.
func (b *builder) arguments(path string, spec stepSpec, operation *amend.Operation) []rules.Argument {
	var arguments []rules.Argument
	var names []string
	for _, parameter := range operation.With {
		names = append(names, parameter.Name)
		given, found := spec.arguments[parameter.Name]
		if !found || given == nil {
			b.complain(path+"."+parameter.Name, "%s needs the argument %s (%s)", spec.call, parameter.Name, parameter.Type)
			continue
		}
		text, single := literal(given, parameter.Type)
		if !single {
			b.complain(path+"."+parameter.Name, "an argument is a single value")
			continue
		}
		template, findings := b.cfg.Environment.Template(text)
		b.take(path+"."+parameter.Name, findings)
		if len(findings) > 0 {
			continue
		}
		if t := template.Type(); t != parameter.Type && t != amend.Null {
			b.complain(path+"."+parameter.Name, "%s is %s, this is %s", parameter.Name, parameter.Type, t)
		}
		sensitive := slices.ContainsFunc(template.Reads(), b.sensitive)
		arguments = append(arguments, rules.Argument{Name: parameter.Name, Type: parameter.Type, Value: template, Sensitive: sensitive})
	}
	for _, name := range slices.Sorted(maps.Keys(spec.arguments)) {
		if !slices.Contains(names, name) {
			b.takeAtKey(path+"."+name, amend.Findings{{Text: fmt.Sprintf("%s has no argument %s", spec.call, name), Hint: didYouMean(name, names)}})
		}
	}
	return arguments
}
