package testbrowser

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/chromedp/chromedp"
)

// lastWords is what the tab itself writes on the console when a test ends: all
// that the page wrote has been seen when this is.
const lastWords = "testbrowser: the test ends here"

// console is what the page writes, and which errors are meant.
type console struct {
	messages iter.Seq2[chromedp.ConsoleMessage, error]
	allowed  []string
}

// listen keeps the tab's messages from now on.
func listen(ctx context.Context) *console {
	return &console{messages: chromedp.Console(ctx)}
}

// checkConsole fails the test for each error that the pages have written and
// that isn't allowed.
func (tab *Tab) checkConsole() {
	tab.t.Helper()
	run(tab, "end the console", chromedp.Evaluate[chromedp.Void](`console.debug("`+lastWords+`")`))
	for message, err := range tab.console.messages {
		if err != nil {
			tab.t.Errorf("testbrowser: read the console: %v", err)
			return
		}
		if message.Text == lastWords {
			return
		}
		if isError(message) && !tab.console.allows(message) {
			tab.t.Errorf("testbrowser: the page wrote on its console:\n%s (%s)", message, message.URL)
		}
	}
}

func isError(message chromedp.ConsoleMessage) bool {
	return message.IsException() || message.Type == chromedp.ConsoleError || message.Type == "assert"
}

func (c *console) allows(message chromedp.ConsoleMessage) bool {
	return slices.ContainsFunc(c.allowed, func(text string) bool {
		return strings.Contains(message.Text, text) || strings.Contains(message.URL, text)
	})
}
