package http

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"amend"
)

// declaration is what this kind reads of a service; the rest is the same for
// all kinds and read elsewhere.
type declaration struct {
	HTTP       httpSpec                  `yaml:"http"`
	Read       readsSpec                 `yaml:"read"`
	Operations map[string]*operationSpec `yaml:"operations"`
}

type httpSpec struct {
	URL       string                  `yaml:"url"`
	Auth      *authSpec               `yaml:"auth"`
	Timeout   time.Duration           `yaml:"timeout"`
	AtOnce    int                     `yaml:"at_once"`
	PerSecond float64                 `yaml:"per_second"`
	PerHour   int                     `yaml:"per_hour"`
	MaxBody   size                    `yaml:"max_body"`
	Headers   map[string]amend.Secret `yaml:"headers"` // constants, but people put keys there too
}

type authSpec struct {
	Bearer amend.Secret `yaml:"bearer"`
	Basic  *basicSpec   `yaml:"basic"`
	Header *headerSpec  `yaml:"header"`
}

type basicSpec struct {
	User     string       `yaml:"user"`
	Password amend.Secret `yaml:"password"`
}

type headerSpec struct {
	Name  string       `yaml:"name"`
	Value amend.Secret `yaml:"value"`
}

type readsSpec struct {
	One  *readSpec `yaml:"one"`
	Many *readSpec `yaml:"many"`
	List *readSpec `yaml:"list"`
}

type readSpec struct {
	Get     string         `yaml:"get"`
	Post    string         `yaml:"post"`
	Query   map[string]any `yaml:"query"`
	Body    any            `yaml:"body"`
	Form    map[string]any `yaml:"form"`
	Items   string         `yaml:"items"`
	Key     string         `yaml:"key"`
	Max     int            `yaml:"max"`
	Next    string         `yaml:"next"`
	Absent  string         `yaml:"absent"`
	Version string         `yaml:"version"`
	On      []onSpec       `yaml:"on"`
}

type operationSpec struct {
	Get    string         `yaml:"get"`
	Post   string         `yaml:"post"`
	Put    string         `yaml:"put"`
	Patch  string         `yaml:"patch"`
	Delete string         `yaml:"delete"`
	Query  map[string]any `yaml:"query"`
	Body   any            `yaml:"body"`
	Form   map[string]any `yaml:"form"`
	On     []onSpec       `yaml:"on"`
}

type onSpec struct {
	When string `yaml:"when"`
	Is   string `yaml:"is"`
	Say  string `yaml:"say"`
}

// size is a number of bytes, written as 512KiB, 1MiB or 1048576.
type size int64

var units = []struct {
	suffix string
	bytes  int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}, {"", 1}}

// UnmarshalText reads a number of bytes.
func (s *size) UnmarshalText(text []byte) error {
	for _, unit := range units {
		number, found := strings.CutSuffix(string(text), unit.suffix)
		if !found {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32)
		if err != nil || n <= 0 || n*unit.bytes > math.MaxInt32 {
			break
		}
		*s = size(n * unit.bytes)
		return nil
	}
	return fmt.Errorf("%q is not a size such as 512KiB or 1MiB, below 2GiB", text)
}
