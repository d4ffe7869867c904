package sql_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
	"amend/connectors/connectortest"
	sqlkind "amend/connectors/sql"
)

// Each mistake is found at its place.
func TestFindings(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text, path string
		offset     int
		says       string
	}{
		"no dsn":                {"sql: {many: 'select {ids}'}", "sql.dsn", 0, "missing"},
		"another database":      {"sql: {dsn: 'mysql://u:canary@x', many: 'select {ids}'}", "sql.dsn", 0, "sqlite: or postgres://"},
		"a broken address":      {"sql: {dsn: 'postgres://u:canary@x:y/z', many: 'select {ids}'}", "sql.dsn", 0, "postgres://user"},
		"no file":               {"sql: {dsn: 'sqlite:', many: 'select {ids}'}", "sql.dsn", 0, "path of a file"},
		"no query":              {"sql: {dsn: 'sqlite:x'}", "sql", 0, "one, or many"},
		"no ids":                {"sql: {dsn: 'sqlite:x', many: 'select 1'}", "sql.many", 0, "never uses {ids}"},
		"no limit":              {"sql: {dsn: 'sqlite:x', one: 'select {id}', list: 'select {cursor}'}", "sql.list", 0, "never uses {limit}"},
		"another name":          {"sql: {dsn: 'sqlite:x', one: 'select {id}, {ids}'}", "sql.one", 14, "ids is not a parameter"},
		"an expression":         {"sql: {dsn: 'sqlite:x', one: 'select {id + 1}'}", "sql.one", 8, "id + 1 is not a parameter"},
		"never closed":          {"sql: {dsn: 'sqlite:x', one: 'select {id}, {id'}", "sql.one", 13, "never closed"},
		"never opened":          {"sql: {dsn: 'sqlite:x', one: 'select {id} }'}", "sql.one", 12, "without its {"},
		"in quotes":             {`sql: {dsn: 'sqlite:x', one: "select {id}, 'ä{id}'"}`, "sql.one", 15, "in quotes"},
		"two statements":        {"sql: {dsn: 'sqlite:x', one: 'select {id}; delete from x'}", "sql.one", 11, "one statement"},
		"a statement that does": {"sql: {dsn: 'sqlite:x', one: 'delete from x where id = {id}'}", "sql.one", 0, "only reads"},
		"negative limits":       {"sql: {dsn: 'sqlite:x', one: 'select {id}', at_once: -1}", "sql", 0, "can't be negative"},
		"http beside it":        {"sql: {dsn: 'sqlite:x', one: 'select {id}'}\nhttp: {url: x}", "http", 0, "not supported yet"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, found := sqlkind.Kind().New(connectors.Declaration{Service: compliance(), Entity: entity, Decode: connectortest.Decode(t, test.text)}, connectors.Surroundings{})
			require.Nil(t, c)
			require.Len(t, found, 1, "%v", found)
			require.Equal(t, test.path, found[0].Path)
			require.Equal(t, test.offset, found[0].Offset)
			require.Contains(t, found[0].Text, test.says)
			require.NotContains(t, found[0].Text, "canary")
		})
	}
	s := compliance()
	s.Fields[1].Path = "item.x"
	s.Operations = []amend.Operation{{Name: "lift"}}
	_, found := sqlkind.Kind().New(connectors.Declaration{Service: s, Entity: entity, Decode: connectortest.Decode(t, "sql: {dsn: 'sqlite:x', one: 'select {id}'}")}, connectors.Surroundings{})
	require.Len(t, found, 2)
	require.Equal(t, "operations", found[0].Path)
	require.Equal(t, "fields.reason.path", found[1].Path)
}

// Parameters are found outside of quotes and comments only, and each becomes a
// placeholder of its database.
func TestBind(t *testing.T) {
	t.Parallel()
	const text = "select '{{a', \"b}}\" /* {no} */ -- {no}\n from x where id in ({ids}) and a = '{{1}}' and b = {{}} or id in ( {ids} );"
	for write, want := range map[string]string{
		"sqlite":   "select '{{a', \"b}}\" /* {no} */ -- {no}\n from x where id in (?,?) and a = '{{1}}' and b = {} or id in ( ?,? )",
		"postgres": "select '{{a', \"b}}\" /* {no} */ -- {no}\n from x where id in ($1,$2) and a = '{{1}}' and b = {} or id in ( $3,$4 )",
	} {
		got, bound, found := sqlkind.Bind(write, text, map[string]any{"ids": []string{"a", "b"}})
		require.Empty(t, found)
		require.Equal(t, want, got)
		require.Equal(t, []any{"a", "b", "a", "b"}, bound)
	}
}
