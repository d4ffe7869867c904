package services

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Addresses are where the services listen.
type Addresses struct {
	Services [Count]string `json:"services"` // by Names
	Control  string        `json:"control"`
}

// Run plays the services on loopback until the context ends. begun is told
// where they listen.
func Run(ctx context.Context, begun func(Addresses) error) error {
	b := newBank()
	var listeners [Count + 1]net.Listener
	var addresses [Count + 1]string
	for i := range listeners {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		context.AfterFunc(ctx, func() { listener.Close() }) //nolint:errcheck // nobody listens any more
		listeners[i], addresses[i] = listener, "http://"+listener.Addr().String()
	}
	var all [Count]*service
	for i := range all {
		all[i] = &service{bank: b, index: i}
		go all[i].run(listeners[i])
	}
	if err := begun(Addresses{[Count]string(addresses[:Count]), addresses[Count]}); err != nil {
		return err
	}
	server := &http.Server{Handler: control(b, all), ReadHeaderTimeout: 10 * time.Second}
	if err := server.Serve(listeners[Count]); ctx.Err() == nil {
		return fmt.Errorf("serve control: %w", err)
	}
	return nil
}

// control lets the harness change the load and read the counts.
func control(b *bank, all [Count]*service) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /load", func(w http.ResponseWriter, r *http.Request) {
		var l Load
		if err := json.NewDecoder(r.Body).Decode(&l); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		b.reset(l)
		for _, s := range all {
			s.calls.Store(0)
			s.records.Store(0)
			s.bytes.Store(0)
		}
	})
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(count(b, all)) //nolint:errcheck // the harness notices that the answer isn't whole
	})
	return mux
}

func count(b *bank, all [Count]*service) Counts {
	var c Counts
	for i, s := range all {
		c.Calls[i], c.Records[i] = s.calls.Load(), s.records.Load()
		c.Bytes += s.bytes.Load()
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	c.Mended, c.Twice, c.Wrong = len(b.mended), b.twice, b.wrong
	return c
}
