package http_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"amend"
	"amend/connectors"
	httpkind "amend/connectors/http"
)

// tokens decodes a text with jsontext: objects as maps, lists as slices, all
// else as it stands. It is what our own scanner is compared with.
func tokens(text string) (any, bool) {
	dec := jsontext.NewDecoder(strings.NewReader(text))
	v, ok := tree(dec)
	if !ok {
		return nil, false
	}
	_, err := dec.ReadToken()
	return v, errors.Is(err, io.EOF)
}

func tree(dec *jsontext.Decoder) (any, bool) {
	switch dec.PeekKind() {
	case '{':
		object := map[string]any{}
		return object, each(dec, '}', func() bool {
			name, err := dec.ReadToken()
			if err != nil {
				return false
			}
			key := name.String()
			v, ok := tree(dec)
			object[key] = v
			return ok
		})
	case '[':
		list := []any{}
		ok := each(dec, ']', func() bool {
			v, ok := tree(dec)
			list = append(list, v)
			return ok
		})
		return list, ok
	}
	v, err := dec.ReadValue()
	return v.Clone(), err == nil
}

func each(dec *jsontext.Decoder, end jsontext.Kind, one func() bool) bool {
	if _, err := dec.ReadToken(); err != nil {
		return false
	}
	for dec.PeekKind() != end {
		if !one() {
			return false
		}
	}
	_, err := dec.ReadToken()
	return err == nil
}

// below is the value at a path, nil where there is none. What stands below
// anything but an object or null is wrong.
func below(v any, path ...string) (got any, right bool) {
	for _, name := range path {
		object, isObject := v.(map[string]any)
		switch raw, isRaw := v.(jsontext.Value); {
		case isObject:
			v = object[name]
		case v == nil, isRaw && raw.Kind() == 'n':
			return nil, true
		default:
			return nil, false
		}
	}
	return v, true
}

// named is a text, or the digits of a whole number.
func named(v any) string {
	raw, _ := v.(jsontext.Value)
	switch {
	case raw == nil:
	case raw.Kind() == '"':
		text, _ := jsontext.AppendUnquote(nil, raw)
		return string(text)
	case raw.Kind() == '0' && !strings.ContainsAny(string(raw), ".eE"):
		return string(raw)
	}
	return ""
}

// expected is the page that a text is for a ledger, told from its tokens.
func expected(text string) (page connectors.Page, ok bool) {
	v, ok := tokens(text)
	if _, isObject := v.(map[string]any); !ok || !isObject {
		return page, false
	}
	items, _ := below(v, "data", "accounts")
	list, isList := items.([]any)
	next, _ := below(v, "next")
	page.Next = named(next)
	if raw, isRaw := next.(jsontext.Value); !isList || page.Next == "" && next != nil && !(isRaw && (raw.Kind() == 'n' || raw.Kind() == '"')) {
		return connectors.Page{}, false
	}
	seen := map[string]int{}
	for _, item := range list {
		key, _ := below(item, "id")
		id := named(key)
		if _, isObject := item.(map[string]any); !isObject || !entity.Valid(id) {
			page.Skipped++
			continue
		}
		if at, twice := seen[id]; twice {
			page.Records[at].Record = amend.Record{}
			continue
		}
		seen[id] = len(page.Records)
		page.Records = append(page.Records, connectors.Keyed{ID: id, Record: expectedRecord(item)})
	}
	return page, true
}

func expectedRecord(item any) amend.Record {
	readers := connectors.FieldReaders(ledger())
	record := amend.Record{Presence: amend.Present, Values: make([]amend.Value, len(readers))}
	for i, path := range [][]string{{"status"}, {"contact", "email"}, {"balance", "amount"}, {"changed_at"}, {"note"}} {
		v, right := below(item, path...)
		raw, isRaw := v.(jsontext.Value)
		err := error(nil)
		switch {
		case !right:
			return amend.Record{}
		case v == nil || isRaw && raw.Kind() == 'n':
			_, err = readers[i].Null()
		case !isRaw || raw.Kind() == 't' || raw.Kind() == 'f':
			return amend.Record{}
		case raw.Kind() == '"':
			record.Values[i], err = readers[i].Text([]byte(named(raw)))
		default:
			record.Values[i], err = readers[i].Number(raw)
		}
		if err != nil {
			return amend.Record{}
		}
	}
	return record
}

// same reads texts one after the other, as pages of one list of which each takes
// the memory of the one before, and compares each with what its tokens say.
func same(t require.TestingT, c connectors.Connector, answer *canned, texts ...string) {
	var request connectors.PageRequest
	var copies []connectors.Keyed
	var want connectors.Page
	for _, text := range texts {
		*answer = canned(text)
		got, err := c.List(context.Background(), request)
		sameRecords(t, want.Records, copies, "a copy of the page before "+text)
		var ok bool
		want, ok = expected(text)
		require.Equal(t, ok, err == nil, "%q: %v", text, err)
		require.Equal(t, want.Next, got.Next, "%q", text)
		require.Equal(t, want.Skipped, got.Skipped, "%q", text)
		sameRecords(t, want.Records, got.Records, text)
		copies, request.Into = slices.Clone(got.Records), got.Records
	}
}

func sameRecords(t require.TestingT, want, got []connectors.Keyed, text string) {
	require.Len(t, got, len(want), "%q", text)
	for i, k := range got {
		require.Equal(t, want[i].ID, k.ID, "%q", text)
		require.Equal(t, want[i].Record.Presence.String(), k.Record.Presence.String(), "%q: %s", text, k.Record.Reason)
		require.Equal(t, want[i].Record.Values, k.Record.Values, "%q", text)
	}
}

// lists is a connector that reads pages as they stand in answer, and has seen
// none so far.
func lists(t testing.TB, answer *canned) connectors.Connector {
	const list = `
http: {url: 'https://ledger.bank.example', max_body: 16MiB}
read:
  one:  {get: "/accounts/{id}"}
  list: {get: "/accounts", query: {cursor: "{cursor}"}, items: answer.data.accounts, key: item.id, next: answer.next}
`
	return openWith(t, list, ledger(), connectors.Surroundings{Transport: answer})
}

// The scanner believes exactly what jsontext believes, and reads the same,
// whatever the pages before looked like.
func TestStrictness(t *testing.T) {
	t.Parallel()
	var answer canned
	c := lists(t, &answer)
	rapid.Check(t, func(t *rapid.T) {
		httpkind.Forget(c)
		pages := rapid.SliceOfN(rapid.Custom(drawPage), 1, 4).Draw(t, "pages")
		same(t, c, &answer, pages...)
	})
}

// drawPage makes a page whose records mostly look alike, mostly valid.
func drawPage(t *rapid.T) string {
	records := rapid.SliceOfN(rapid.Custom(drawRecord), 0, 5).Draw(t, "records")
	blank := rapid.SampledFrom([]string{"", "", " ", "\n\t"}).Draw(t, "blank")
	text := blank + `{"data":` + blank + `{"accounts":[` + strings.Join(records, ","+blank) + `]` + blank + `},"next":"c2"}` + blank
	for range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "mistakes") {
		at := rapid.IntRange(0, len(text)).Draw(t, "at")
		until := min(len(text), at+rapid.IntRange(0, 2).Draw(t, "gone"))
		text = text[:at] + rapid.SampledFrom(mistakes).Draw(t, "mistake") + text[until:]
	}
	return text
}

var mistakes = []string{"", "", `"`, `\`, ",", ":", "{", "}", "[", "]", " ", "0", "1", "-", ".", "e", "t", "n", "\x00", "\x1f", "\x7f", "\xff", "ä", `\u0061`, `\ud800`, `\ud83d\ude00`, `"a":1,`, `,"id":1`, "null", "/"}

func drawRecord(t *rapid.T) string {
	members := []string{
		fmt.Sprintf(`"id":"cus_%06d"`, rapid.IntRange(1, 9).Draw(t, "id")),
		`"status":"open"`, `"tags":["a",{"b":1},[{"b":2}]]`, `"contact":{"email":"a@b.c","more":{"x":null,"y":true}}`, `"balance":{"amount":"12.30"}`,
		`"changed_at":"2026-03-01T12:00:00Z"`, `"name":"Ada Lovelace, Countess"`, `"note":"caf\u00e9 \"q\" ä"`,
	}
	for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "changes") {
		at := rapid.IntRange(0, len(members)-1).Draw(t, "which")
		switch rapid.IntRange(0, 4).Draw(t, "how") {
		case 0:
			members = append(members[:at], members[at+1:]...)
		case 1:
			members[0], members[at] = members[at], members[0]
		case 2:
			members = append(members, members[at])
		case 3:
			name, value, _ := strings.Cut(members[at], ":")
			members[at] = name + rapid.SampledFrom([]string{": ", " :", "\n:\t"}).Draw(t, "colon") + value
		case 4:
			members[at] = rapid.SampledFrom(odd).Draw(t, "odd")
		}
		if len(members) == 0 {
			break
		}
	}
	return "{" + strings.Join(members, rapid.SampledFrom([]string{",", ",", ", ", "\n, "}).Draw(t, "comma")) + "}"
}

var odd = []string{`"\u0069d":"cus_000007"`, `"st\u0061tus":"closed"`, `"id":7`, `"id":null`, `"status":null`, `"contact":null`, `"contact":7`,
	`"contact":[{"email":"x"}]`, `"contact":{"email":"x","email":"y"}`, `"contact":{"\u0065mail":"x"}`, `"balance":{"amount":12.30}`, `"balance":{"amount":-1e2}`,
	`"balance":{"amount":{}}`, `"note":true`, `"note":-0`, `"x":{"y":1,"y":2}`, `"x":{"y":1,"\u0079":2}`, `"x":"\ud800"`, `"x":"\ud83d\ude00"`, `"x":01`, `"x":1.`, `"x":-`,
	`"x":1e+`, `"x":.5`, `"x":tru`, `"x":nul`, `"":0`, `"` + strings.Repeat("long", 50) + `":1`, `"x":"` + strings.Repeat("text ", 20) + `"`, `"x":"a` + "\t" + `"`, `"x":"Привет, мир"`,
	`"x":"\udc00"`, `"x":"\udfff\udc00"`, `"x":"\ud800\u0041"`, `"x":"\ud800\ud800"`, `"x":"\ud800\ue000"`, `"x":"\uDBFF\uDFFF"`, `"x":"\ud7ff\ue000"`, `"x":"\u12g4"`, `"x":"\a"`}

// What jsontext takes as nested too deep is so for the scanner, too.
func TestNesting(t *testing.T) {
	t.Parallel()
	var answer canned
	c := lists(t, &answer)
	for _, depth := range []int{1, 9_000, 9_998, 9_999, 10_000, 100_000} {
		for _, bracket := range [][2]string{{"[", "]"}, {`{"a":`, "}"}, {`[{"a":`, "}]"}} {
			n := depth / len(bracket[1])
			nested := strings.Repeat(bracket[0], n) + "0" + strings.Repeat(bracket[1], n)
			same(t, c, &answer, `{"x":`+nested+`,"data":{"accounts":[]}}`, `{"data":{"accounts":[{"x":`+nested+`}]}}`, nested)
		}
	}
}

// members are the members of an object with names of their own.
func members(from, to int, value string) string {
	var b strings.Builder
	for i := range to - from {
		fmt.Fprintf(&b, `"k%d":%s,`, from+i, value)
	}
	return b.String()
}

// Names that are data are as strict as any.
func TestNamesThatAreData(t *testing.T) {
	t.Parallel()
	var answer canned
	c := lists(t, &answer)
	for i := range 20 {
		from, to := i*300, i*300+300
		many := members(from, to, fmt.Sprintf(`{"at":%d,"by":{"n":1}}`, i))
		for _, last := range []string{`"last":1`, fmt.Sprintf(`"k%d":1`, from), fmt.Sprintf(`"k%d":1`, to-1)} {
			same(t, c, &answer, page(`{"x":{`+many+last+`}}`), page(`{`+many+`"id":"cus_000001",`+last+`}`))
		}
		same(t, c, &answer, page(fmt.Sprintf(`{"%0200d":1,"%0200d":{"a":1,"a":1}}`, i, i+1)))
	}
}

// Names that were not learned any more are not expected either: the second of
// two is noticed whichever it is.
func TestNamesBeyondTheBound(t *testing.T) {
	t.Parallel()
	var answer canned
	c := lists(t, &answer)
	for twice := 120; twice < 140; twice++ {
		httpkind.Forget(c)
		all := page(`{"x":{` + members(0, 200, "1") + `"last":1}}`)
		same(t, c, &answer, all, all, page(fmt.Sprintf(`{"x":{%s"k%d":1}}`, members(0, twice+1, "1"), twice)), all)
	}
}

// Long names that begin and end alike are not the same.
func TestLongNames(t *testing.T) {
	t.Parallel()
	var answer canned
	c := lists(t, &answer)
	two := func(first, second int) string {
		return page(fmt.Sprintf(`{"x":{"it_begins_%d_and_ends":1,"it_begins_%d_and_ends":2}}`, first, second))
	}
	same(t, c, &answer, two(1, 2), two(1, 2), two(1, 1), two(2, 2), two(1, 3), two(3, 3))
}

// What is learned of the names is bounded.
func TestLearning(t *testing.T) {
	t.Parallel()
	var answer canned
	c := lists(t, &answer)
	nested := strings.Builder{}
	for i := range 60 {
		fmt.Fprintf(&nested, `"p%d":{%s"last":1},`, i, members(0, 100, "1"))
	}
	for name, test := range map[string]struct {
		members             string
		least, names, bytes int
	}{
		"all objects":       {nested.String(), 4_000, 4_200, 2 << 20},
		"one object":        {members(0, 3_000, "1"), 100, 200, 100_000},
		"a long name":       {`"` + strings.Repeat("long", 100_000) + `":1,`, 1, 20, 10_000},
		"much white space":  {`"a":1` + strings.Repeat(" ", 400_000) + `,`, 1, 20, 10_000},
		"white space first": {strings.Repeat(" ", 400_000) + `"a":1,`, 1, 20, 10_000},
	} {
		names, bytes := 0, 0
		for tries := 0; names == 0 && tries < 100; tries++ { // the pool may drop what was learned
			httpkind.Forget(c)
			same(t, c, &answer, page(`{"id":"cus_000001","x":{`+test.members+`"last":1}}`))
			names, bytes = httpkind.Learned(c)
		}
		require.GreaterOrEqual(t, names, test.least, name)
		require.Less(t, names, test.names, name)
		require.Less(t, bytes, test.bytes, name)
	}
}

// FuzzStrictness is TestStrictness for texts that nobody would write.
func FuzzStrictness(f *testing.F) {
	for _, l := range lies() {
		if len(l.body) < 1000 {
			f.Add(page(whole), l.body)
		}
	}
	for _, o := range odd {
		f.Add(page(whole+","+whole), page(strings.Replace(whole, `"status":"open"`, o, 1)))
	}
	var answer canned
	c := lists(f, &answer)
	f.Fuzz(func(t *testing.T, first, second string) {
		httpkind.Forget(c)
		same(t, c, &answer, first, second, second)
	})
}
