// Package testbrowser opens pages in a headless Chromium, as a person would
// see them.
//
// The first test that asks starts one browser for its process; it ends with
// the process and leaves nothing behind (see testproc). Each test gets a tab
// with cookies and storage of its own. What a page writes to its console as an
// error (an exception, a refused resource, a breach of the content security
// policy) fails the test. A test that asks where no browser is installed
// fails; it never skips.
package testbrowser

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"
)

// patience limits each act on a page, the waiting for its element included.
const patience = 20 * time.Second

// Tab is one tab of the browser. Its methods fail the test where they can't do
// what they are for; selectors are CSS.
type Tab struct {
	t       testing.TB
	ctx     context.Context // chromedp's handle on a tab
	console *console
}

// New opens an empty tab for the test and closes it at the test's end.
func New(t testing.TB) *Tab {
	t.Helper()
	address, err := shared()
	if err != nil {
		t.Fatalf("testbrowser: %v", err)
	}
	allocator, cancelAllocator := remote.NewAllocator(context.Background(), address)
	t.Cleanup(cancelAllocator)
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	// The tab lives as long as the context of its first act: so that is ctx.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("testbrowser: open a tab: %v", err)
	}
	tab := &Tab{t: t, ctx: ctx, console: listen(ctx)}
	t.Cleanup(tab.checkConsole)
	return tab
}

// Context is chromedp's handle on the tab, for what the methods don't cover.
func (tab *Tab) Context() context.Context {
	return tab.ctx
}

// AllowError lets console errors that contain text pass: a page that answers
// 404 on purpose is one, for instance.
func (tab *Tab) AllowError(text string) {
	tab.console.allowed = append(tab.console.allowed, text)
}

// DisableScripts makes the tab ignore JavaScript from the next page on.
func (tab *Tab) DisableScripts() {
	tab.t.Helper()
	run(tab, "disable scripts", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
}

// Open goes to the URL, waits until the page has loaded, and returns the
// response's status.
func (tab *Tab) Open(url string) int {
	tab.t.Helper()
	return status(run(tab, "open "+url, chromedp.NavigateResponse(url)))
}

// status is 0 where nothing was requested: about:blank, or another place of
// the same page.
func status(response *network.Response) int {
	if response == nil {
		return 0
	}
	return int(response.Status)
}

// URL is where the tab is now.
func (tab *Tab) URL() string {
	tab.t.Helper()
	return run(tab, "read the URL", chromedp.Location())
}

// Text waits until the first element that fits is visible, and returns its
// text as it is shown.
func (tab *Tab) Text(selector string) string {
	tab.t.Helper()
	return strings.TrimSpace(run(tab, "text of "+selector, chromedp.Text(chromedp.CSS(selector), chromedp.NodeVisible)))
}

// Fill replaces what the input field holds by text, typed key by key.
func (tab *Tab) Fill(selector, text string) {
	tab.t.Helper()
	field := chromedp.CSS(selector)
	run(tab, "fill "+selector, chromedp.Steps(
		chromedp.Clear(field, chromedp.NodeVisible),
		chromedp.SendKeys(field, text, chromedp.NodeVisible),
	))
}

// Click clicks on an element that changes this page. For one that leads to
// another page use Follow, which waits for it.
func (tab *Tab) Click(selector string) {
	tab.t.Helper()
	run(tab, "click on "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Follow clicks on a link or a button that leads to another page, waits until
// that has loaded, and returns the response's status.
func (tab *Tab) Follow(selector string) int {
	tab.t.Helper()
	response := run(tab, "follow "+selector, func(ctx context.Context, _ *chromedp.Target) (*network.Response, error) {
		return chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
	})
	return status(response)
}

// run runs one act within patience.
func run[T any](tab *Tab, act string, action chromedp.Action[T]) T {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		tab.t.Fatalf("testbrowser: %s: %v", act, err)
	}
	return value
}
