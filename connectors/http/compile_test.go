package http_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
	"amend/connectors/connectortest"
	httpkind "amend/connectors/http"
)

// Each mistake is found at its place, all of them at once.
func TestFindings(t *testing.T) {
	t.Parallel()
	const head = "http: {url: 'https://x.example'}\n"
	const one = `read: {one: {get: "/a/{id}"}}` + "\n"
	withOps := func(o ...amend.Operation) *amend.Service {
		s := ledger()
		s.Operations = o
		return s
	}
	for name, test := range map[string]struct {
		text    string
		service *amend.Service
		path    string
		offset  int
		says    string
	}{
		"no url":                  {"http: {}\n" + one, nil, "http.url", 0, "missing"},
		"no scheme":               {"http: {url: x.example}\n" + one, nil, "http.url", 0, "https://"},
		"another scheme":          {"http: {url: 'file:///etc/passwd'}\n" + one, nil, "http.url", 0, "https://"},
		"a password in the url":   {"http: {url: 'https://u:p@x.example'}\n" + one, nil, "http.url", 0, "http.auth"},
		"a query in the url":      {"http: {url: 'https://x.example?a=b'}\n" + one, nil, "http.url", 0, "neither ? nor #"},
		"two ways of auth":        {"http: {url: 'https://x.example', auth: {bearer: a, header: {name: X, value: b}}}\n" + one, nil, "http.auth", 0, "exactly one"},
		"an empty token":          {"http: {url: 'https://x.example', auth: {bearer: ''}}\n" + one, nil, "http.auth", 0, "not empty"},
		"a header that isn't":     {"http: {url: 'https://x.example', auth: {header: {name: 'X Y', value: b}}}\n" + one, nil, "http.auth.header", 0, "not the name"},
		"a header of transport":   {"http: {url: 'https://x.example', headers: {host: b}}\n" + one, nil, "http.headers.host", 0, "amend itself"},
		"a line break in one":     {"http: {url: 'https://x.example', headers: {a: \"b\\nc\"}}\n" + one, nil, "http.headers.a", 0, "line break"},
		"no read":                 {head, nil, "read", 0, "declare one, or many"},
		"no method":               {head + `read: {one: {query: {a: "{id}"}}}`, nil, "read.one", 0, "exactly one method"},
		"two methods":             {head + `read: {one: {get: "/{id}", post: "/{id}"}}`, nil, "read.one", 0, "exactly one method"},
		"a relative path":         {head + `read: {one: {get: "a/{id}"}}`, nil, "read.one.get", 0, "begins with /"},
		"a query in the path":     {head + `read: {one: {get: "/a?x={id}"}}`, nil, "read.one.get", 0, "below query"},
		"dots in the path":        {head + `read: {one: {get: "/a/../{id}"}}`, nil, "read.one.get", 0, "dot segments"},
		"a misspelt name":         {head + `read: {one: {get: "/a/{di}"}}`, nil, "read.one.get", 4, "di is not known here"},
		"ids in one":              {head + `read: {one: {get: "/a/{ids.join(',')}"}}`, nil, "read.one.get", 4, "ids is not known here"},
		"nobody in one":           {head + `read: {one: {get: "/a"}}`, nil, "read.one", 0, "use {id}"},
		"nobody in many":          {head + `read: {many: {get: "/a", key: item.id}}`, nil, "read.many", 0, "use {ids}"},
		"many without key":        {head + `read: {many: {get: "/a", query: {x: "{ids.join(',')}"}}}`, nil, "read.many", 0, "key"},
		"deep in a body":          {head + `read: {many: {post: "/a", key: item.id, body: {a: [{b: "{idz}"}], c: "{ids}"}}}`, nil, "read.many.body.a[0].b", 1, "idz is not known"},
		"a body in a GET":         {head + `read: {many: {get: "/a", key: item.id, body: "{ids}"}}`, nil, "read.many", 0, "a GET has no body"},
		"a body and a form":       {head + `read: {many: {post: "/a", key: item.id, body: "{ids}", form: {a: b}}}`, nil, "read.many", 0, "not both"},
		"an object as parameter":  {head + `read: {one: {get: "/{id}", query: {a: {b: c}}}}`, nil, "read.one.query.a", 0, "not an object"},
		"a list without cursor":   {head + one[:len(one)-2] + `, list: {get: /a, key: item.id, next: answer.next}}`, nil, "read.list.next", 0, "use {cursor}"},
		"a list without next":     {head + one[:len(one)-2] + `, list: {get: /a, key: item.id, query: {c: "{cursor}"}}}`, nil, "read.list", 0, "next"},
		"absent in a list":        {head + one[:len(one)-2] + `, list: {get: /a, key: item.id, absent: status == 404}}`, nil, "read.list.absent", 0, "one and many"},
		"a broken condition":      {head + `read: {one: {get: "/{id}", absent: 'status == answr.code'}}`, nil, "read.one.absent", 10, "answr is not known"},
		"item in absent":          {head + `read: {one: {get: "/{id}", absent: 'item.x == 1'}}`, nil, "read.one.absent", 0, "item is not known"},
		"an unknown is":           {head + `read: {one: {get: "/{id}", on: [{when: status == 409, is: gone}]}}`, nil, "read.one.on[0].is", 0, "nothing that an answer can be"},
		"a header for many":       {head + `read: {many: {get: "/a", query: {x: "{ids.join(',')}"}, key: item.id, version: header.etag}}`, nil, "read.many.version", 0, "header is not known"},
		"the whole item as key":   {head + `read: {many: {get: "/a", query: {x: "{ids.join(',')}"}, key: item}}`, nil, "read.many.key", 0, "single value"},
		"a broken field":          {head + one, &amend.Service{Name: "x", Fields: []amend.Field{{Name: "a", Path: "itm.a"}}}, "fields.a.path", 0, "itm is not known"},
		"nothing must be there":   {head + one, &amend.Service{Name: "x", Fields: []amend.Field{{Name: "a", Optional: true}}}, "read.one", 0, "say with key"},
		"an operation unsaid":     {head + one, withOps(amend.Operation{Name: "x"}), "operations.x", 0, "exactly one method"},
		"an unknown operation":    {head + one + `operations: {y: {post: "/{id}"}}`, nil, "operations.y", 0, "no operation y"},
		"an unused argument":      {head + one + `operations: {x: {post: "/{id}"}}`, withOps(amend.Operation{Name: "x", With: []amend.Parameter{{Name: "a", Type: amend.Int}}}), "operations.x.with.a", 0, "never uses it"},
		"an argument called id":   {head + one + `operations: {x: {post: "/{id}"}}`, withOps(amend.Operation{Name: "x", With: []amend.Parameter{{Name: "id", Type: amend.String}}}), "operations.x.with.id", 0, "something else"},
		"nobody in operation":     {head + one + `operations: {x: {post: /a, body: {a: 1}}}`, withOps(amend.Operation{Name: "x"}), "operations.x", 0, "use {id}"},
		"no key in the body":      {head + one + `operations: {x: {post: "/{id}"}}`, withOps(amend.Operation{Name: "x", Repeat: amend.Repeat{How: amend.RepeatByKey, InBody: true}}), "operations.x.repeat", 0, "no {key}"},
		"a key header that isn't": {head + one + `operations: {x: {post: "/{id}"}}`, withOps(amend.Operation{Name: "x", Repeat: amend.Repeat{How: amend.RepeatByKey, Header: "a b"}}), "operations.x.repeat", 0, "not the name"},
		"no version to send":      {head + one + `operations: {x: {put: "/{id}"}}`, withOps(amend.Operation{Name: "x", IfUnchanged: true}), "operations.x.if_unchanged", 0, "version"},
		"a broken done":           {head + one + `operations: {x: {post: "/{id}"}}`, withOps(amend.Operation{Name: "x", Done: "answer.x = 1"}), "operations.x.done", 9, ""},
		"a read's is":             {head + one + `operations: {x: {post: "/{id}", on: [{when: status == 409, is: absent}]}}`, withOps(amend.Operation{Name: "x"}), "operations.x.on[0].is", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.service == nil {
				test.service = ledger()
			}
			c, found := httpkind.Kind().New(connectors.Declaration{Service: test.service, Entity: entity, Decode: connectortest.Decode(t, test.text)}, connectors.Surroundings{})
			require.Nil(t, c)
			require.NotEmpty(t, found)
			for _, f := range found {
				if f.Path == test.path && f.Offset == test.offset {
					require.Contains(t, f.Text, test.says)
					return
				}
			}
			require.Fail(t, "not found", "%v", found)
		})
	}
}

func TestFindingsComeTogether(t *testing.T) {
	t.Parallel()
	_, found := httpkind.Kind().New(connectors.Declaration{Service: ledger(), Entity: entity, Decode: connectortest.Decode(t, `
http: {url: ""}
read:
  one: {get: "/{i}", absent: "statu == 404"}
  list: {get: /a, items: anser.x, key: item.id, query: {c: "{cursor}"}, next: answer.next}
`)}, connectors.Surroundings{})
	var paths []string
	for _, f := range found {
		paths = append(paths, f.Path)
	}
	require.Equal(t, []string{"http.url", "read.one.get", "read.one.absent", "read.one", "read.list.items"}, paths)
}

func TestSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"1MiB": 1 << 20, "512KiB": 512 << 10, "100": 100, "7B": 7, "1 GiB": 1 << 30} {
		got, err := httpkind.ParseSize(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "0", "-1", "1.5MiB", "2GiB", "1TB", "NaN", "MiB"} {
		_, err := httpkind.ParseSize(text)
		require.ErrorContains(t, err, "not a size")
	}
}
