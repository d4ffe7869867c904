//go:build crashpoints

package crash

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// At kills the process if this is the passing that CRASH_AT asks for. A value
// that means nothing ends the process, too: it would otherwise never be killed.
func At(point Point) {
	if asked := order(); asked.point == point && passed.Add(1) == asked.passing {
		fmt.Fprintf(os.Stderr, "crash: %s, passing %d\n", point, asked.passing)
		kill()
	}
}

// PartSize is how many customers a part of a scan has in this build: so few that
// a small bank has many parts.
func PartSize() int { return 100 }

// passed counts the passings of the one point that is asked for.
var passed atomic.Int64

// order is what CRASH_AT asks for; the zero value where it isn't set.
var order = sync.OnceValue(func() asked {
	text, set := os.LookupEnv("CRASH_AT")
	if !set {
		return asked{}
	}
	name, n, _ := strings.Cut(text, ":")
	passing, err := strconv.ParseInt(n, 10, 64)
	if err != nil || passing < 1 || !slices.Contains(Points(), Point(name)) {
		fmt.Fprintf(os.Stderr, "crash: CRASH_AT=%s isn't a point and a number from 1\n", text)
		os.Exit(2)
	}
	return asked{Point(name), passing}
})

type asked struct {
	point   Point
	passing int64
}

// kill ends the process and never returns.
func kill() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {}
}
