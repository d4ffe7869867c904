package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver named "sqlite"

	"amend/dashboard"
	"amend/desk"
	"amend/reconciler"
	"amend/rules"
	"amend/store"
)

// healed reads how long customers were in order of repair: from when their case
// was opened to when it ended. The first repairs of a rule wait for each other,
// and are left out.
func healed(ctx context.Context, path string) (waits []time.Duration, err error) {
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	defer db.Close() //nolint:errcheck // it was only read
	rows, err := db.QueryContext(ctx, `select ended_at - opened_at from cases where ended_by = 'rule' order by ended_at limit -1 offset $1`, rules.CanarySize)
	if err != nil {
		return nil, fmt.Errorf("read the cases: %w", err)
	}
	defer rows.Close() //nolint:errcheck // it was only read
	for rows.Next() {
		var micros int64
		if err := rows.Scan(&micros); err != nil {
			return nil, fmt.Errorf("read the cases: %w", err)
		}
		waits = append(waits, time.Duration(micros)*time.Microsecond)
	}
	return waits, rows.Err()
}

// lookEvery is how often somebody looks.
const lookEvery = 20 * time.Millisecond

// visitor is somebody who looks at customers' pages.
type visitor struct {
	server *dashboard.Server
	client *http.Client
}

// newVisitor opens a dashboard beside an engine and logs in. The dashboard ends
// with the context.
func newVisitor(ctx context.Context, e *reconciler.Engine) (v *visitor, err error) {
	d := &desk.Desk{Schema: e.Schema, Rules: e.Rules, Store: e.Store, Reader: e, Waker: e.Queue, Now: e.Now}
	server, err := dashboard.Listen(dashboard.Options{Listen: "127.0.0.1:0", Desk: d, Machine: e.Machine, Now: e.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	go server.Serve(ctx) //nolint:errcheck // who looks notices
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("make a cookie jar: %w", err)
	}
	v = &visitor{server, &http.Client{Jar: jar}}
	link, err := url.Parse(server.LoginURL())
	if err != nil {
		return nil, fmt.Errorf("read the login link: %w", err)
	}
	form := url.Values{"token": {link.Query().Get("token")}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL()+"/login", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", server.URL())
	err = v.do(request)
	return v, err
}

// scanBesidePeople makes a full scan while somebody looks at one customer's
// page after another. It gives what the scan saw, and how long each page took.
func scanBesidePeople(ctx context.Context, e *reconciler.Engine) (states map[string]int, waits []time.Duration, err error) {
	v, err := newVisitor(ctx, e)
	if err != nil {
		return nil, nil, err
	}
	scanned := make(chan error, 1)
	go func() {
		scan, err := e.Scan(ctx, store.FullScan, "bench")
		states = scan.States
		scanned <- err
	}()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for number := 1; ; number++ {
		select {
		case err := <-scanned:
			return states, waits, err
		case <-ticker.C:
		}
		begun := time.Now()
		if err := v.look(ctx, fmt.Sprintf("cus_%09d", number)); err != nil {
			return nil, nil, err
		}
		waits = append(waits, time.Since(begun))
	}
}

func (v *visitor) look(ctx context.Context, customer string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, v.server.CustomerURL(customer), http.NoBody)
	if err != nil {
		return fmt.Errorf("look at a page: %w", err)
	}
	return v.do(request)
}

func (v *visitor) do(request *http.Request) error {
	answer, err := v.client.Do(request)
	if err != nil {
		return fmt.Errorf("look at a page: %w", err)
	}
	defer answer.Body.Close() //nolint:errcheck // it has been read
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return fmt.Errorf("look at a page: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return errors.New("look at a page: " + answer.Status)
	}
	return nil
}
