package config

import (
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"amend"
	"amend/rules"
)

type scansSpec struct {
	Source  oneOrMany    `yaml:"source"`
	Full    scheduleSpec `yaml:"full"`
	Fresh   scheduleSpec `yaml:"fresh"`
	Observe observeSpec  `yaml:"observe"`
}

type observeSpec struct {
	Token amend.Secret `yaml:"token"`
}

type scheduleSpec struct {
	Cron  string        `yaml:"cron"`
	Zone  string        `yaml:"zone"`
	Every time.Duration `yaml:"every"`
}

type windowSpec struct {
	Cron string        `yaml:"cron"`
	Zone string        `yaml:"zone"`
	For  time.Duration `yaml:"for"`
	Why  string        `yaml:"why"`
}

// Scans say who knows the customers, and when to look at them.
type Scans struct {
	Source  []int         // services whose lists are united
	Full    cron.Schedule // everybody; nil where not scheduled
	Fresh   cron.Schedule // what changed, where a service can tell; nil where not scheduled
	Observe amend.Secret  // what a service shows that says whom to look at; empty where none may
}

// leastToken is how many characters a token that programs show has at least:
// that many hexadecimal digits are 128 bits.
const leastToken = 32

// Every is a schedule with a fixed distance, which may be below a second.
type Every time.Duration

// Next is part of cron.Schedule.
func (e Every) Next(t time.Time) time.Time { return t.Add(time.Duration(e)) }

func (b *builder) scans() {
	if len(b.doc.Scans.Source) == 0 {
		b.complain("scans.source", "scans.source is missing: say which services list all customers")
	}
	b.refuseLater("scans.full", []string{"since"})
	for i, name := range b.doc.Scans.Source {
		index, service := b.cfg.Schema.Service(name)
		at := "scans.source"
		if n, missing := b.root.locate(at); missing == "" && n.kind == isList {
			at = fmt.Sprintf("%s[%d]", at, i)
		}
		switch {
		case service == nil:
			b.take(at, amend.Findings{{Text: fmt.Sprintf("there is no service %s", name), Hint: didYouMean(name, b.serviceNames())}})
		case index < len(b.cfg.Connectors) && b.cfg.Connectors[index] != nil && !b.cfg.Connectors[index].Can().List:
			b.complain(at, "%s can't list its customers: it has no read.list", name)
		default:
			b.cfg.Scans.Source = append(b.cfg.Scans.Source, index)
		}
	}
	b.cfg.Scans.Full = b.schedule("scans.full", b.doc.Scans.Full)
	b.cfg.Scans.Fresh = b.schedule("scans.fresh", b.doc.Scans.Fresh)
	b.observe()
}

// observe refuses a token that is empty or can be guessed: whoever has it can
// make amend call every service.
func (b *builder) observe() {
	at, missing := b.root.locate("scans.observe")
	if missing != "" || at.kind != isMap {
		return
	}
	token := b.doc.Scans.Observe.Token
	if at.get("token") == nil {
		b.decoder.missing(at, "token", "say which token services show: token: \"${OBSERVE_TOKEN}\"")
	} else if len(token.Reveal()) < leastToken {
		b.complain("scans.observe.token", "a token has %d characters at least, so that nobody guesses it; `openssl rand -hex 32` makes one", leastToken)
	}
	b.cfg.Scans.Observe = token
}

// schedule is nil where neither cron nor every is given.
func (b *builder) schedule(path string, spec scheduleSpec) cron.Schedule {
	switch {
	case spec.Cron != "" && spec.Every > 0:
		b.complain(path, "give either cron or every")
	case spec.Cron != "":
		return b.cron(path, spec.Cron, spec.Zone)
	case spec.Every > 0:
		return Every(spec.Every)
	}
	return nil
}

func (b *builder) cron(path, expression, zone string) cron.Schedule {
	if zone == "" {
		zone = "UTC"
	}
	if _, err := time.LoadLocation(zone); err != nil {
		b.complain(path+".zone", "%q is not a time zone such as Europe/Berlin", zone)
		return nil
	}
	schedule, err := cron.ParseStandard("CRON_TZ=" + zone + " " + expression)
	if err != nil {
		b.complain(path+".cron", "%q is not a cron expression of five fields: %s", expression, err)
		return nil
	}
	if spec, ok := schedule.(*cron.SpecSchedule); ok && !everyHour(spec) {
		return newWallClock(spec)
	}
	return schedule
}

func (b *builder) windows() {
	for i, w := range b.doc.Pause {
		path := fmt.Sprintf("pause[%d]", i)
		if w.For <= 0 {
			b.complain(path+".for", "say how long the pause lasts: for: 2h")
		}
		if schedule := b.cron(path, w.Cron, w.Zone); schedule != nil {
			b.cfg.Windows = append(b.cfg.Windows, rules.Window{Start: schedule, For: w.For, Why: w.Why})
		}
	}
}
