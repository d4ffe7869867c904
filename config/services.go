package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"amend"
	"amend/connectors"
)

type serviceSpec struct {
	About      string                 `yaml:"about"`
	Owner      ownerSpec              `yaml:"owner"`
	SLO        sloSpec                `yaml:"slo"`
	Links      []linkSpec             `yaml:"links"`
	MaxAge     time.Duration          `yaml:"max_age"`
	Sentinels  sentinelSpec           `yaml:"sentinels"`
	Fields     ordered[fieldSpec]     `yaml:"fields"`
	Operations ordered[operationSpec] `yaml:"operations"`
}

type ownerSpec struct {
	Team    string `yaml:"team"`
	Slack   string `yaml:"slack"`
	Runbook string `yaml:"runbook"`
}

type sloSpec struct {
	Availability share         `yaml:"availability"`
	Latency      time.Duration `yaml:"latency"`
	Window       time.Duration `yaml:"window"`
}

type linkSpec struct {
	Title string `yaml:"title"`
	URL   string `yaml:"url"`
}

type sentinelSpec struct {
	Present string `yaml:"present"`
	Absent  string `yaml:"absent"`
}

type fieldSpec struct {
	Type      amend.Type `yaml:"type"`
	Path      string     `yaml:"path"`
	Values    []string   `yaml:"values"`
	Scale     int        `yaml:"scale"`
	Unit      string     `yaml:"unit"`
	Sensitive bool       `yaml:"sensitive"`
	Optional  bool       `yaml:"optional"`
}

type operationSpec struct {
	With        map[string]amend.Type `yaml:"with"`
	Repeat      repeatSpec            `yaml:"repeat"`
	IfUnchanged bool                  `yaml:"if_unchanged"`
	Sets        map[string]any        `yaml:"sets"`
	Shown       string                `yaml:"shown"`
	Done        string                `yaml:"done"`
	Within      time.Duration         `yaml:"within"`
}

// repeatSpec is safe, never, or {key: header NAME | body, window, replays_errors}.
type repeatSpec struct {
	amend.Repeat
}

func (r *repeatSpec) decode(d *decoder, n *node) {
	if n.kind != isMap {
		text, _ := d.scalar(n, false)
		switch text {
		case "safe":
			r.How = amend.RepeatSafe
		case "never":
			r.How = amend.RepeatNever
		default:
			d.complain(n, "repeat is safe, never or {key: header NAME, window: 24h}, not %q", text)
		}
		return
	}
	var keyed struct {
		Key           string        `yaml:"key"`
		Window        time.Duration `yaml:"window"`
		ReplaysErrors bool          `yaml:"replays_errors"`
	}
	d.decode(n, &keyed)
	r.How, r.Window, r.ReplaysErrors = amend.RepeatByKey, keyed.Window, keyed.ReplaysErrors
	header, inHeader := strings.CutPrefix(keyed.Key, "header ")
	r.Header, r.InBody = strings.TrimSpace(header), keyed.Key == "body"
	if !r.InBody && (!inHeader || r.Header == "") {
		d.missing(n, "key", "say where the key goes: key: header NAME, or key: body")
	}
	if r.Window == 0 {
		d.missing(n, "window", "say how long the service remembers the key: window: 24h")
	}
}

// defaultMaxAge is how old a record may be that a repair rests on.
const defaultMaxAge = 30 * time.Second

func (b *builder) services() {
	if len(b.doc.Services) == 0 {
		b.complain("services", "no services are declared")
	}
	for _, s := range b.doc.Services {
		path := "services." + s.name
		b.usable(path, s.name)
		b.refuseLater(path, []string{"id", "as_of"})
		service := amend.Service{Name: s.name, About: s.value.About, Owner: amend.Owner(s.value.Owner),
			SLO:       amend.SLO{Availability: float64(s.value.SLO.Availability), Latency: s.value.SLO.Latency, Window: s.value.SLO.Window},
			Sentinels: amend.Sentinels(s.value.Sentinels), MaxAge: s.value.MaxAge}
		b.positive(path+".max_age", service.MaxAge > 0, "max_age is above 0")
		setDefault(&service.MaxAge, defaultMaxAge)
		for _, l := range s.value.Links {
			service.Links = append(service.Links, amend.Link(l))
		}
		if p, a := service.Sentinels.Present, service.Sentinels.Absent; (p == "") != (a == "") {
			b.complain(path+".sentinels", "sentinels are a pair: one ID that is always there, one that never is")
		}
		service.Version = b.serviceVersion(s.at)
		service.Fields = b.fields(path+".fields", s.value.Fields)
		service.Operations = b.operations(path+".operations", &service, s.value.Operations)
		b.cfg.Schema.Services = append(b.cfg.Schema.Services, service)
	}
	for i := range b.cfg.Schema.Services {
		b.connector(&b.cfg.Schema.Services[i], b.doc.Services[i].at)
	}
}

func (b *builder) fields(path string, specs ordered[fieldSpec]) []amend.Field {
	var fields []amend.Field
	for _, f := range specs {
		at := path + "." + f.name
		switch spec := f.value; {
		case spec.Type == amend.Null && f.at.get("type") == nil:
			b.complain(at+".type", "the field %s needs a type: one of %s", f.name, strings.Join(amend.TypeNames(), ", "))
		case slices.Contains([]string{"present", "absent", "age"}, f.name):
			b.complainAtKey(at, "%s is what every record has; call the field something else", f.name)
		case len(spec.Values) > 0 && spec.Type != amend.String:
			b.complain(at+".values", "values are for strings")
		case spec.Scale != 0 && (spec.Type != amend.Int || spec.Scale < 0 || spec.Scale > 18):
			b.complain(at+".scale", "scale is for ints, from 1 to 18")
		}
		b.usable(at, f.name)
		fields = append(fields, amend.Field{Name: f.name, Type: f.value.Type, Path: f.value.Path, Values: f.value.Values,
			Scale: f.value.Scale, Unit: f.value.Unit, Sensitive: f.value.Sensitive, Optional: f.value.Optional})
	}
	return fields
}

func (b *builder) operations(path string, service *amend.Service, specs ordered[operationSpec]) []amend.Operation {
	var operations []amend.Operation
	for _, spec := range specs {
		at := path + "." + spec.name
		b.refuseLater(at, []string{"gives"})
		o := amend.Operation{Name: spec.name, Repeat: spec.value.Repeat.Repeat, IfUnchanged: spec.value.IfUnchanged,
			Sets: spec.value.Sets, Shown: spec.value.Shown, Done: spec.value.Done, Within: spec.value.Within}
		for _, name := range slices.Sorted(maps.Keys(spec.value.With)) {
			b.usable(at+".with."+name, name)
			o.With = append(o.With, amend.Parameter{Name: name, Type: spec.value.With[name]})
		}
		for field := range o.Sets {
			if _, known := service.Field(field); known == nil {
				b.takeAtKey(at+".sets."+field, amend.Findings{{Text: fmt.Sprintf("%s has no field %s", service.Name, field), Hint: didYouMean(field, fieldNames(service))}})
			}
		}
		operations = append(operations, o)
	}
	return operations
}

// connector makes the service's connector and puts what every service gets
// around it.
func (b *builder) connector(service *amend.Service, at *node) {
	path := "services." + service.Name
	var kinds []string
	for _, kind := range b.options.Kinds {
		kinds = append(kinds, kind.Name)
		if at.get(kind.Name) == nil {
			continue
		}
		service.Kind = kind.Name
		made, findings := kind.New(connectors.Declaration{Service: service, Entity: &b.cfg.Schema.Entity,
			Decode: func(into any) { b.decoder.decode(at, into) }}, b.options.Surroundings)
		b.take(path, findings)
		if len(findings.Errors()) == 0 && made != nil {
			made = connectors.Around(made, service, b.options.Surroundings)
		}
		b.cfg.Connectors = append(b.cfg.Connectors, made)
		return
	}
	// The kind knows the rest of the keys, so nothing can be said about them.
	at.known = append(at.known, append(kinds, "read")...)
	for _, key := range []string{"read", "operations"} {
		if below := at.get(key); below != nil {
			at.use(key)
			below.settle()
		}
	}
	if !slices.ContainsFunc(kinds, at.misspelt) {
		b.take(path, amend.Findings{{Text: fmt.Sprintf("how is %s reached? One of these keys says it: %s", service.Name, strings.Join(kinds, ", "))}})
	}
	b.cfg.Connectors = append(b.cfg.Connectors, nil)
}

// reserved are the words that CEL keeps for itself.
var reserved = []string{"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let",
	"loop", "namespace", "null", "now", "package", "return", "true", "var", "void", "while"}

// usable reports a name that can't stand in an expression.
func (b *builder) usable(path, name string) {
	switch {
	case strings.Contains(name, "-"):
		b.complainAtKey(path, "%s can't stand in an expression, where - is minus; write %s", name, strings.ReplaceAll(name, "-", "_"))
	case slices.Contains(reserved, name):
		b.complainAtKey(path, "%s has a meaning of its own in expressions; call this something else", name)
	}
}

func fieldNames(s *amend.Service) []string {
	var all []string
	for _, f := range s.Fields {
		all = append(all, f.Name)
	}
	return all
}

func didYouMean(word string, candidates []string) string {
	if near := amend.Nearest(word, candidates); near != "" {
		return "did you mean " + near + "?"
	}
	if len(candidates) == 0 {
		return ""
	}
	return "known are " + strings.Join(sorted(candidates), ", ")
}
