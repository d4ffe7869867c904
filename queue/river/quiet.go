package river

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// silence is how long a message isn't repeated.
const silence = time.Minute

// quiet is a log for what goes on and on while the database is away: it passes
// on warnings and errors, each message once a minute.
type quiet struct {
	slog.Handler

	said *said // of all loggers that were made of the first
}

type said struct {
	mu   sync.Mutex
	last map[string]time.Time // by message; River's are constants
}

func newQuiet(next slog.Handler) slog.Handler {
	return quiet{next, &said{last: map[string]time.Time{}}}
}

// Enabled is part of slog.Handler.
func (h quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

// Handle is part of slog.Handler.
func (h quiet) Handle(ctx context.Context, record slog.Record) error {
	h.said.mu.Lock()
	last, known := h.said.last[record.Message]
	repeated := known && record.Time.Sub(last) < silence
	if !repeated {
		h.said.last[record.Message] = record.Time
	}
	h.said.mu.Unlock()
	if repeated {
		return nil
	}
	return h.Handler.Handle(ctx, record)
}

// WithAttrs is part of slog.Handler.
func (h quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quiet{h.Handler.WithAttrs(attrs), h.said}
}

// WithGroup is part of slog.Handler.
func (h quiet) WithGroup(name string) slog.Handler {
	return quiet{h.Handler.WithGroup(name), h.said}
}
