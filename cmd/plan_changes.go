package cmd

import (
	"fmt"
	"io"
	"time"

	"amend/reconciler"
)

// changesText says from when a fresh scan would ask services what has changed.
func changesText(w io.Writer, changes []reconciler.Changes) {
	if len(changes) == 0 {
		fmt.Fprintln(w, "No service can tell what has changed, so a fresh scan looks at open cases, and at whom the last scans could not judge.")
		return
	}
	fmt.Fprintln(w, "A fresh scan looks at whoever changed, as far as services can tell:")
	for _, c := range changes {
		text := fmt.Sprintf("  %s: changes since %s", c.Service, c.Since.UTC().Format("2006-01-02 15:04:05 UTC"))
		if c.Why != "" {
			text += ": " + c.Why
		}
		fmt.Fprintln(w, text)
	}
}

// changesOf are the changes that are asked for of one service, for scripts.
type changesOf struct {
	Service string    `json:"service"`
	Since   time.Time `json:"since"`
	Why     string    `json:"why,omitempty"`
}

func changesJSON(changes []reconciler.Changes) []changesOf {
	all := make([]changesOf, len(changes))
	for i, c := range changes {
		all[i] = changesOf{c.Service, c.Since.UTC(), c.Why}
	}
	return all
}
