package slacktest

import (
	"encoding/json"
	"fmt"
	"unicode/utf16"
)

// Slack's limits, in characters where not said otherwise.
const (
	maxText      = 40_000
	maxBlocks    = 50
	maxHeader    = 150
	maxSection   = 3_000
	maxFields    = 10
	maxField     = 2_000
	maxElements  = 25 // of an actions block
	maxContext   = 10 // elements of a context block
	maxLabel     = 75 // of a button
	maxButtonURL = 3_000
)

type textObject struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// block holds what is checked and shown of any kind of block.
type block struct {
	Type     string       `json:"type"`
	Text     *textObject  `json:"text"`
	Fields   []textObject `json:"fields"`
	Elements []element    `json:"elements"`
}

// element is a button of an actions block, or a text of a context block.
type element struct {
	Type string          `json:"type"`
	Text json.RawMessage `json:"text"` // an object in a button, else a string
	URL  string          `json:"url"`
}

func (e element) label() textObject {
	var object textObject
	if json.Unmarshal(e.Text, &object) == nil {
		return object
	}
	var text string
	if json.Unmarshal(e.Text, &text) != nil {
		return textObject{}
	}
	return textObject{Type: e.Type, Text: text}
}

func checkText(text string, blocks bool) *problem {
	switch {
	case text == "" && !blocks:
		return &problem{code: "no_text"}
	case size(text) > maxText:
		return &problem{code: "msg_too_long"}
	default:
		return nil
	}
}

// checkBlocks finds all that Slack would refuse.
func checkBlocks(data json.RawMessage) *problem {
	if data == nil {
		return nil
	}
	var blocks []block
	if json.Unmarshal(data, &blocks) != nil {
		return &problem{code: "invalid_blocks_format"}
	}
	var c checker
	c.most(len(blocks), maxBlocks, "/blocks")
	for i, b := range blocks {
		c.block(b, fmt.Sprintf("/blocks/%d", i))
	}
	if len(c.found) > 0 {
		return &problem{code: "invalid_blocks", details: c.found}
	}
	return nil
}

type checker struct{ found []string }

func (c *checker) block(b block, at string) {
	switch b.Type {
	case "header":
		c.text(b.Text, maxHeader, at+"/text")
		if b.Text != nil && b.Text.Type != "plain_text" {
			c.fail("must be plain_text", at+"/text/type")
		}
	case "section":
		c.section(b, at)
	case "actions":
		c.most(len(b.Elements), maxElements, at+"/elements")
		c.buttons(b.Elements, at)
	case "context":
		c.most(len(b.Elements), maxContext, at+"/elements")
		c.least(len(b.Elements), at+"/elements")
	case "divider", "image", "rich_text", "input":
	default:
		c.fail("unsupported type: "+b.Type, at+"/type")
	}
}

func (c *checker) section(b block, at string) {
	if b.Text == nil && len(b.Fields) == 0 {
		c.fail("missing required field: text", at)
	}
	if b.Text != nil {
		c.text(b.Text, maxSection, at+"/text")
	}
	c.most(len(b.Fields), maxFields, at+"/fields")
	for i := range b.Fields {
		c.text(&b.Fields[i], maxField, fmt.Sprintf("%s/fields/%d", at, i))
	}
}

func (c *checker) buttons(elements []element, at string) {
	c.least(len(elements), at+"/elements")
	for i, e := range elements {
		if e.Type != "button" {
			continue
		}
		label := e.label()
		c.text(&label, maxLabel, fmt.Sprintf("%s/elements/%d/text", at, i))
		c.most(size(e.URL), maxButtonURL, fmt.Sprintf("%s/elements/%d/url", at, i))
	}
}

func (c *checker) text(t *textObject, limit int, at string) {
	if t == nil {
		c.fail("missing required field: text", at)
		return
	}
	c.least(len(t.Text), at+"/text")
	c.most(size(t.Text), limit, at+"/text")
}

func (c *checker) least(n int, at string) {
	if n == 0 {
		c.fail("must be more than 0", at)
	}
}

func (c *checker) most(n, limit int, at string) {
	if n > limit {
		c.fail(fmt.Sprintf("must be less than %d", limit+1), at)
	}
}

func (c *checker) fail(what, at string) {
	c.found = append(c.found, fmt.Sprintf("[ERROR] %s [json-pointer:%s]", what, at))
}

// size counts UTF-16 units, the strictest of the usual ways.
func size(s string) int { return len(utf16.Encode([]rune(s))) }
