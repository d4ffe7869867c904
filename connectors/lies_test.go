package connectors_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"

	"amend"
)

// lie is a way in which an answer says nothing about a customer. Whoever adds
// one here has it told by all five services, in every way of reading them.
type lie struct {
	name   string
	tells  func(honest string) string // the bytes on the wire, made of the honest body
	then   ending
	cause  amend.Cause // Malformed where it is zero
	silent bool        // 404: what a service that knows nobody says, so the sentinels must tell it too
}

func lies() []lie {
	all := make([]lie, 0, 160)
	for _, tell := range []func() []lie{bodies, encodings, statuses, framings, silences} {
		all = append(all, tell()...)
	}
	for i := range all {
		if all[i].cause == amend.NotRead {
			all[i].cause = amend.Malformed
		}
	}
	return all
}

// body makes a lie of a body that comes as JSON with status 200.
func body(name string, change func(honest string) string) lie {
	return lie{name: name, tells: func(honest string) string { return response(200, "application/json", change(honest)) }}
}

func text(s string) func(string) string { return func(string) string { return s } }

const loginPage = "<!doctype html><html><form action=/login method=post>"

func bodies() []lie {
	replace := func(old, new string) func(string) string {
		return func(honest string) string { return strings.Replace(honest, old, new, 1) }
	}
	return []lie{
		body("nothing", text("")),
		body("a blank", text(" \n")),
		body("an empty object", text("{}")),
		body("null", text("null")),
		body("true", text("true")),
		body("a number", text("42")),
		body("a text", text(`"`+here+`"`)),
		body("an empty list", text("[]")),
		body("a list of nothing", text("[{}]")),
		body("a list around it", func(h string) string { return "[" + h + "]" }),
		body("an object around it", func(h string) string { return `{"data":` + h + `}` }),
		body("a text around it", func(h string) string { return fmt.Sprintf("%q", h) }),
		body("an error", text(`{"error":"internal","message":"try again"}`)),
		body("an error with a status", text(`{"status":"error","code":500}`)),
		body("an error with records", text(`{"error":"shard 3 is down","customers":null,"accounts":null,"cards":null,"subscriptions":null}`)),
		body("an object instead of records", text(`{"customers":{},"accounts":{},"cards":{},"subscriptions":{}}`)),
		body("a text instead of records", text(`{"customers":"","accounts":"","cards":"","subscriptions":""}`)),
		body("GraphQL", text(`{"data":null,"errors":[{"message":"boom"}]}`)),
		body("a login page that says it is JSON", text(loginPage)),
		body("XML", text(`<?xml version="1.0"?><customers/>`)),
		body("half of it", func(h string) string { return h[:len(h)/2] }),
		body("all but the last brace", func(h string) string { return h[:len(h)-1] }),
		body("twice", func(h string) string { return h + h }),
		body("a line and a line", func(h string) string { return h + "\n" + h + "\n" }),
		body("something after it", func(h string) string { return h + "x" }),
		body("a brace after it", func(h string) string { return h + "}" }),
		body("a NUL after it", func(h string) string { return h + "\x00" }),
		body("a warning before it", func(h string) string { return "Warning: mysql_connect()\n" + h }),
		body("JSONP", func(h string) string { return "callback(" + h + ")" }),
		body("a guard before it", func(h string) string { return ")]}',\n" + h }),
		body("a comment", func(h string) string { return "/* ok */" + h }),
		body("single quotes", func(h string) string { return strings.ReplaceAll(h, `"`, `'`) }),
		body("a comma too many", func(h string) string { return h[:len(h)-1] + ",}" }),
		body("NaN", replace(`"status"`, `"rate":NaN,"status"`)),
		body("Infinity", replace(`"status"`, `"rate":-Infinity,"status"`)),
		body("a number in octal", replace(`"status"`, `"rate":007,"status"`)),
		body("a name twice", replace(`"status"`, `"status":"closed","status"`)),
		body("a name twice, once escaped", replace(`"status"`, `"\u0073tatus":"closed","status"`)),
		body("a name twice where nobody looks", replace(`"status"`, `"x":{"y":1,"y":2},"status"`)),
		body("nested deeply", replace(`"status"`, `"x":`+strings.Repeat("[", 50_000)+strings.Repeat("]", 50_000)+`,"status"`)),
		body("nested deeply, in objects", replace(`"status"`, `"x":`+strings.Repeat(`{"a":`, 50_000)+"1"+strings.Repeat("}", 50_000)+`,"status"`)),
		body("nested and never closed", text(strings.Repeat("[", 500_000))),
		body("10 MiB", func(h string) string { return h + strings.Repeat(" ", 10<<20) }),
		body("10 MiB in one text", replace(`"status"`, `"x":"`+strings.Repeat("x", 10<<20)+`","status"`)),
	}
}

func encodings() []lie {
	typed := func(name, contentType string, change func(string) string, header ...string) lie {
		return lie{name: name, tells: func(honest string) string { return response(200, contentType, change(honest), header...) }}
	}
	same := func(h string) string { return h }
	bomb := text(zipped(strings.Repeat(" ", 32<<20) + "{}"))
	return []lie{
		typed("a login page", "text/html", text(loginPage)),
		typed("JSON that says it is HTML", "text/html", same),
		typed("JSON that says it is text", "text/plain", same),
		typed("JSON that says it is anything", "application/octet-stream", same),
		typed("JSON that says it is a stream", "text/event-stream", same),
		typed("no content type", "", same),
		typed("a broken content type", "application/json; charset", same),
		typed("Latin-1", "application/json; charset=iso-8859-1", same),
		typed("UTF-16", "application/json; charset=utf-16", wide),
		typed("UTF-16 that says nothing", "application/json", wide),
		typed("a byte order mark", "application/json", func(h string) string { return "\xef\xbb\xbf" + h }),
		typed("bytes that are no UTF-8", "application/json", func(h string) string { return strings.Replace(h, "00", "0\xff", 1) }),
		typed("half a surrogate", "application/json", func(h string) string { return strings.Replace(h, `"status"`, `"x":"\ud800","status"`, 1) }),
		typed("gzip", "application/json", zipped, "Content-Encoding: gzip"),
		typed("gzip that says nothing", "application/json", zipped),
		typed("a gzip bomb", "application/json", bomb, "Content-Encoding: gzip"),
		typed("plain, and says it is Brotli", "application/json", same, "Content-Encoding: br"),
		typed("plain, and says it is encoded twice", "application/json", same, "Content-Encoding: identity, gzip"),
	}
}

func wide(s string) string {
	b := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return string(b)
}

func zipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s)) // into memory
	_ = w.Close()
	return b.String()
}

// statuses are told with the honest body: whatever it says, the status says
// that it isn't the answer to what was asked.
func statuses() []lie {
	var all []lie
	for cause, codes := range map[amend.Cause][]int{
		amend.Forbidden:  {401, 403},
		amend.TimedOut:   {408},
		amend.Throttled:  {429},
		amend.Redirected: {300, 301, 302, 303, 304, 305, 307, 308, 399},
		amend.Failing:    {500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 599, 999},
		amend.Malformed: {101, 204, 205, 206, 400, 402, 405, 406, 407, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418,
			421, 422, 423, 424, 425, 426, 428, 431, 451, 499},
	} {
		for _, code := range codes {
			all = append(all, lie{name: fmt.Sprint(code), cause: cause, tells: func(honest string) string {
				return response(code, "application/json", honest, "Location: http://elsewhere/")
			}})
		}
	}
	for name, page := range map[string]string{"404 of a gateway": loginPage, "404 of another route": `{"message":"no Route matched with those values"}`,
		"404 and nothing": "", "404 and null": "null", "404 with a marker of somebody else": `{"code":"no_customer"}`,
		"404 with a record": `{"id":"cus_000007","customer":"cus_000007","owner":"cus_000007","status":"active"}`} {
		all = append(all, lie{name: name, silent: true, tells: func(string) string { return response(404, "application/json", page) }},
			lie{name: name + ", as HTML", silent: true, tells: func(string) string { return response(404, "text/html", page) }})
	}
	return all
}

const jsonHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

// framings are answers that are no HTTP, or end elsewhere than they say.
func framings() []lie {
	wire := func(name string, cause amend.Cause, tells func(string) string) lie {
		return lie{name: name, cause: cause, tells: tells}
	}
	length := func(n int) string { return fmt.Sprintf("%sContent-Length: %d\r\n\r\n", jsonHead, n) }
	chunked := jsonHead + "Transfer-Encoding: chunked\r\n\r\n"
	return []lie{
		wire("hung up at once", amend.Unreachable, text("")),
		wire("hung up in the status line", amend.Unreachable, text("HTTP/1.1 2")),
		wire("hung up in the headers", amend.Unreachable, text(jsonHead)),
		wire("a length that is too long", amend.Unreachable, func(h string) string { return length(len(h)+1) + h }),
		wire("a length that is too short", amend.Malformed, func(h string) string { return length(len(h)-1) + h }),
		wire("a length below zero", amend.Unreachable, func(h string) string { return length(-1) + h }),
		wire("a length that is no number", amend.Unreachable, func(h string) string { return jsonHead + "Content-Length: 1e3\r\n\r\n" + h }),
		wire("two lengths", amend.Unreachable, func(h string) string {
			return fmt.Sprintf("%sContent-Length: %d\r\nContent-Length: 7\r\n\r\n%s", jsonHead, len(h), h)
		}),
		wire("a length of an exabyte", amend.Malformed, func(h string) string { return length(1<<60) + h }),
		wire("chunks, cut in the middle", amend.Unreachable, func(h string) string { return fmt.Sprintf("%s%x\r\n%s", chunked, len(h), h[:len(h)/2]) }),
		wire("chunks without their end", amend.Unreachable, func(h string) string { return fmt.Sprintf("%s%x\r\n%s\r\n", chunked, len(h), h) }),
		wire("chunks of no size", amend.Unreachable, func(h string) string { return chunked + "zz\r\n" + h + "\r\n0\r\n\r\n" }),
		wire("chunks without end", amend.Malformed, func(h string) string {
			return fmt.Sprintf("%s%x\r\n%s\r\n", chunked, len(h), h) + strings.Repeat("1000\r\n"+strings.Repeat(" ", 0x1000)+"\r\n", 2000)
		}),
		wire("gzip as transfer coding", amend.Unreachable, func(h string) string { return jsonHead + "Transfer-Encoding: gzip\r\n\r\n" + zipped(h) }),
		wire("an unknown transfer coding", amend.Unreachable, func(h string) string { return jsonHead + "Transfer-Encoding: rot13\r\n\r\n" + h }),
		wire("a body without any head", amend.Unreachable, func(h string) string { return h }),
		wire("another protocol", amend.Unreachable, text("SSH-2.0-OpenSSH_9.6\r\n")),
		wire("an unknown version", amend.Unreachable, func(h string) string { return "HTTP/9.9 OK\r\n\r\n" + h }),
		wire("HTTP/2 frames", amend.Unreachable, text("\x00\x00\x12\x04\x00\x00\x00\x00\x00"+strings.Repeat("\x00", 18))),
		wire("a header without a colon", amend.Unreachable, func(h string) string { return jsonHead + "Nonsense\r\n\r\n" + h }),
		wire("a header of 1 MiB", amend.Unreachable, func(h string) string { return jsonHead + "X: " + strings.Repeat("x", 1<<20) + "\r\n\r\n" + h }),
		wire("50,000 headers", amend.Unreachable, func(h string) string { return jsonHead + strings.Repeat("X: x\r\n", 50_000) + "\r\n" + h }),
		wire("headers without end", amend.Unreachable, text(jsonHead+strings.Repeat("X-Flood: "+strings.Repeat("x", 100)+"\r\n", 100_000))),
		wire("early hints for ever", amend.Unreachable, text(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 1000))),
		wire("two content types", amend.Malformed, func(h string) string {
			return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(h), h)
		}),
	}
}

// silences are answers that don't come, or don't end.
func silences() []lie {
	quiet := func(name string, then ending, tells func(string) string) lie {
		return lie{name: name, then: then, cause: amend.TimedOut, tells: tells}
	}
	return []lie{
		quiet("no word", fallsStill, text("")),
		quiet("stalled in the headers", fallsStill, text(jsonHead)),
		quiet("stalled after the headers", fallsStill, func(h string) string { return fmt.Sprintf("%sContent-Length: %d\r\n\r\n", jsonHead, len(h)) }),
		quiet("stalled before the last byte", fallsStill, func(h string) string {
			return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", jsonHead, len(h), h[:len(h)-1])
		}),
		quiet("whole, but never ended", fallsStill, func(h string) string { return jsonHead + "\r\n" + h }),
		quiet("one byte a second", drips, func(h string) string { return response(200, "application/json", h) }),
		quiet("blanks without end, one a second", drips, func(string) string {
			return jsonHead + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\n \r\n", 600)
		}),
	}
}
