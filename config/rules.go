package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"amend"
	"amend/conditions"
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
			d.complain(n, "a step is one operation; put %s into a step of its own", e.key)
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
		b.knownStates(path, "from", rule.From)
		b.knownStates(path, "to", rule.To)
		if len(rule.From) == 0 {
			b.complain(path, "the rule %s doesn't say from which states it leads", r.name)
		}
		if len(spec.Do) == 0 {
			b.complain(path, "the rule %s doesn't do anything", r.name)
		}
		for i, step := range spec.Do {
			b.step(fmt.Sprintf("%s.do[%d]", path, i), step, &rule)
		}
		rule.Version = b.ruleVersion(r.at, &rule)
		b.cfg.Rules.Rules = append(b.cfg.Rules.Rules, rule)
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
		if slices.Contains(known, name) {
			continue
		}
		at := path + "." + key
		if n, _ := b.root.locate(at); n.kind == isList {
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
		b.take(at, amend.Findings{{Text: fmt.Sprintf("there is no service %s", serviceName), Hint: didYouMean(serviceName, b.serviceNames())}})
		return
	}
	operation := service.Operation(operationName)
	if operation == nil {
		var known []string
		for _, o := range service.Operations {
			known = append(known, o.Name)
		}
		b.take(at, amend.Findings{{Text: fmt.Sprintf("%s has no operation %q", serviceName, operationName), Hint: didYouMean(operationName, known)}})
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
		if !found {
			b.complain(path, "%s needs the argument %s (%s)", spec.call, parameter.Name, parameter.Type)
			continue
		}
		template, findings := b.cfg.Environment.Template(literal(given))
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
			b.take(path+"."+name, amend.Findings{{Text: fmt.Sprintf("%s has no argument %s", spec.call, name), Hint: didYouMean(name, names)}})
		}
	}
	return arguments
}

// literal writes a plain YAML value as the expression that gives it.
func literal(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case nil:
		return "{null}"
	default:
		return fmt.Sprintf("{%v}", x)
	}
}

func (b *builder) effects(path string, service *amend.Service, operation *amend.Operation) []rules.Effect {
	names := []conditions.Variable{{Name: "id", Type: amend.String}, {Name: "entity", Type: amend.String}}
	for _, p := range operation.With {
		names = append(names, conditions.Variable{Name: p.Name, Type: p.Type})
	}
	env, err := conditions.NewDynamic(names...)
	if err != nil {
		b.complain(path, "%s", err)
		return nil
	}
	var effects []rules.Effect
	for _, name := range slices.Sorted(maps.Keys(operation.Sets)) {
		index, field := service.Field(name)
		if field == nil {
			continue // reported where the operation is declared
		}
		if operation.Sets[name] == amend.Any {
			effects = append(effects, rules.Effect{Field: index, Any: true})
			continue
		}
		text, findings := env.Text(literal(operation.Sets[name]))
		b.take(path+"."+name, findings)
		if s, isText := operation.Sets[name].(string); isText && len(field.Values) > 0 && !strings.Contains(s, "{") && !slices.Contains(field.Values, s) {
			b.take(path+"."+name, amend.Findings{{Text: fmt.Sprintf("%s is never %q", name, s), Hint: didYouMean(s, field.Values)}})
		}
		effects = append(effects, rules.Effect{Field: index, Value: text})
	}
	return effects
}

// ruleVersion hashes all that the rule's decision rests on: its own text, the
// conditions of its states and of all before them, and the fields and
// operations of every service that they use. Approvals and evidence bind to it.
func (b *builder) ruleVersion(at *node, rule *rules.Rule) string {
	h := sha256.New()
	at.write(h)
	services := map[int]bool{}
	last := 0
	for i, s := range b.doc.States {
		if slices.Contains(rule.From, s.name) {
			last = i
		}
	}
	for i := range min(last+1, len(b.cfg.Machine.States)) {
		state := b.cfg.Machine.States[i]
		if state.When == nil {
			continue
		}
		io.WriteString(h, state.Name+"\x00"+state.When.Text()+"\x00") //nolint:errcheck // a hash never fails
		for _, r := range state.When.Reads() {
			services[r.Service] = true
		}
	}
	for _, s := range rule.Steps {
		services[s.Service] = true
	}
	for i, s := range b.doc.Services {
		if services[i] {
			s.at.get("fields").write(h)
			s.at.get("operations").write(h)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// write gives a node's content without its layout, for hashing.
func (n *node) write(w io.Writer) {
	if n == nil {
		return
	}
	fmt.Fprintf(w, "%d:%s(", n.kind, n.text)
	for _, e := range n.entries {
		io.WriteString(w, e.key+"=") //nolint:errcheck // a hash never fails
		e.value.write(w)
	}
	for _, item := range n.items {
		item.write(w)
	}
	io.WriteString(w, ")") //nolint:errcheck // a hash never fails
}
