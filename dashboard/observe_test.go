package dashboard

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/desk"
	"amend/queue"
	"amend/store"
)

const observeToken = "0123456789abcdef0123456789abcdef"

// openToServices is a world where services may name customers.
func openToServices(t *testing.T) *world {
	return newWorld(t, func(o *Options) { o.Observe = amend.NewSecret(observeToken) })
}

// names is a hint.
func names(ids ...string) string {
	text, err := json.Marshal(map[string][]string{"ids": append([]string{}, ids...)})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// hint sends what a service would, with some headers changed; an empty one is
// left out.
func (w *world) hint(body string, headers ...string) reply {
	w.t.Helper()
	all := map[string]string{"Authorization": "Bearer " + observeToken, "Content-Type": "application/json"}
	for i := 0; i < len(headers); i += 2 {
		if all[headers[i]] = headers[i+1]; headers[i+1] == "" {
			delete(all, headers[i])
		}
	}
	return w.visitor().do(http.MethodPost, "/api/v1/observe", strings.NewReader(body), all)
}

// looks are the open requests to look at a customer.
func (w *world) looks(customer string) []store.Request {
	w.t.Helper()
	all, err := w.store.OpenRequests(w.t.Context(), customer)
	require.NoError(w.t, err)
	return all
}

// requireNothingAsked holds that a refused call has written nothing.
func (w *world) requireNothingAsked() {
	w.t.Helper()
	ready, err := w.store.Ready(w.t.Context(), 10)
	require.NoError(w.t, err)
	require.Empty(w.t, ready)
}

func TestObserve(t *testing.T) {
	t.Parallel()
	t.Run("AsksForALook", func(t *testing.T) {
		t.Parallel()
		w := openToServices(t)
		wakes := queue.NewLocal(w.clock.Now, slog.New(slog.DiscardHandler))
		w.desk.Waker = wakes
		got := w.hint(names("cus_000123", "cus_000124", "cus_000123"))
		require.Equal(t, http.StatusAccepted, got.status, got.body)
		require.JSONEq(t, `{"named": 2, "asked": 2, "waiting": 0}`, got.body)
		require.Equal(t, "application/json", got.header.Get("Content-Type"))
		require.Equal(t, 2, wakes.Len(), "the queue is woken")
		require.Len(t, w.looks("cus_000123"), 1)
		require.Equal(t, store.AskLook, w.looks("cus_000124")[0].Kind)
		require.Equal(t, "observe", w.looks("cus_000124")[0].Actor)
		_, any, err := w.store.LastCase(t.Context(), "cus_000123")
		require.NoError(t, err)
		require.False(t, any, "a hint opens no case")

		got = w.hint(names("cus_000124", "cus_000125"))
		require.JSONEq(t, `{"named": 2, "asked": 1, "waiting": 1}`, got.body)
		require.Len(t, w.looks("cus_000124"), 1, "an open look is as good as two")
		require.NoError(t, w.store.TakeRequest(t.Context(), w.looks("cus_000124")[0].ID, "looked: active"))
		require.JSONEq(t, `{"named": 1, "asked": 1, "waiting": 0}`, w.hint(names("cus_000124")).body, "the next change is another")
	})
	t.Run("TheMostAtOnce", func(t *testing.T) {
		t.Parallel()
		w := openToServices(t)
		ids := make([]string, 1001)
		for i := range ids {
			ids[i] = fmt.Sprintf("cus_%06d", i+100)
		}
		require.JSONEq(t, `{"named": 1000, "asked": 1000, "waiting": 0}`, w.hint(names(ids[:1000]...)).body)
		got := w.hint(names(ids...))
		require.Equal(t, http.StatusRequestEntityTooLarge, got.status)
		require.Contains(t, got.body, "1001 were sent, 1000 are taken at once")
		require.Empty(t, w.looks(ids[1000]))
	})
	t.Run("NobodyIsNamed", func(t *testing.T) {
		t.Parallel()
		w := openToServices(t)
		got := w.hint(names())
		require.Equal(t, http.StatusAccepted, got.status)
		require.JSONEq(t, `{"named": 0, "asked": 0, "waiting": 0}`, got.body, "an empty list means nobody, never everybody")
		w.requireNothingAsked()
	})
	t.Run("ManyAtTheSameTime", func(t *testing.T) {
		t.Parallel()
		w := openToServices(t)
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() { w.hint(names("cus_000123", "cus_000124")) })
		}
		group.Wait()
		require.Len(t, w.looks("cus_000123"), 1)
	})
	t.Run("WithoutATokenItIsNotThere", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		for _, token := range []string{"", "Bearer ", "Bearer " + observeToken} {
			got := w.hint(names("cus_000123"), "Authorization", token)
			require.Equal(t, http.StatusNotFound, got.status, token)
		}
		w.requireNothingAsked()
	})
	t.Run("AsTheDocsShowIt", func(t *testing.T) {
		t.Parallel()
		docs, err := os.ReadFile("../docs/operations.md")
		require.NoError(t, err)
		_, example, shown := strings.Cut(string(docs), "```http\n")
		require.True(t, shown)
		example, answer, _ := strings.Cut(example, "```")
		head, body, _ := strings.Cut(example, "\n\n")
		q, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(head, "\n", "\r\n") + "\r\nHost: 127.0.0.1\r\n\r\n")))
		require.NoError(t, err)
		headers := map[string]string{}
		for name := range q.Header {
			headers[name] = q.Header.Get(name)
		}
		token, _ := strings.CutPrefix(headers["Authorization"], "Bearer ")
		w := newWorld(t, func(o *Options) { o.Observe = amend.NewSecret(token) })
		got := w.visitor().do(q.Method, q.URL.Path, strings.NewReader(body), headers)
		require.Equal(t, http.StatusAccepted, got.status, got.body)
		said := regexp.MustCompile("202 with `([^`]+)`").FindStringSubmatch(answer)
		require.NotNil(t, said)
		require.JSONEq(t, said[1], got.body)
	})
}

// TestObserveRefuses holds every hostile call to its answer; none writes a thing
// (S01, S17, S18, S20, S24, S42).
func TestObserveRefuses(t *testing.T) {
	t.Parallel()
	good := names("cus_000123")
	for name, c := range map[string]struct {
		body    string
		headers []string
		want    int
		says    string
	}{
		"NoToken":            {good, []string{"Authorization", ""}, 401, "A token is needed"},
		"EmptyToken":         {good, []string{"Authorization", "Bearer "}, 401, ""},
		"WrongToken":         {good, []string{"Authorization", "Bearer " + strings.Repeat("0", 32)}, 401, ""},
		"HalfTheToken":       {good, []string{"Authorization", "Bearer " + observeToken[:16]}, 401, ""},
		"MoreThanTheToken":   {good, []string{"Authorization", "Bearer " + observeToken + "0"}, 401, ""},
		"TwoTokens":          {good, []string{"Authorization", "Bearer x " + observeToken}, 401, ""},
		"OtherScheme":        {good, []string{"Authorization", "Basic " + observeToken}, 401, ""},
		"OtherHeader":        {good, []string{"Authorization", "", "X-Api-Key", observeToken}, 401, ""},
		"NoTokenAndTooLarge": {strings.Repeat("x", 2<<20), []string{"Authorization", "", "Content-Type", "text/plain"}, 401, ""},

		"Form":        {"ids=cus_000123", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "application/json"},
		"Text":        {good, []string{"Content-Type", "text/plain"}, 415, ""},
		"NoType":      {good, []string{"Content-Type", ""}, 415, ""},
		"BrokenType":  {good, []string{"Content-Type", "application/json; charset"}, 415, ""},
		"Multipart":   {good, []string{"Content-Type", "multipart/form-data; boundary=x"}, 415, ""},
		"Compressed":  {good, []string{"Content-Encoding", "gzip"}, 415, "not compressed"},
		"CrossSite":   {good, []string{"Sec-Fetch-Site", "cross-site"}, 403, ""},
		"SameSite":    {good, []string{"Sec-Fetch-Site", "same-site"}, 403, ""},
		"NullOrigin":  {good, []string{"Origin", "null"}, 403, ""},
		"OtherOrigin": {good, []string{"Origin", "https://evil.example"}, 403, ""},
		"OtherHost":   {good, []string{"Host", "evil.example"}, 421, ""},

		"Empty":           {"", nil, 400, "The body looks like"},
		"NoObject":        {"[]", nil, 400, ""},
		"Null":            {"null", nil, 400, "The IDs are missing"},
		"NoIDs":           {"{}", nil, 400, "The IDs are missing"},
		"NullIDs":         {`{"ids": null}`, nil, 400, "The IDs are missing"},
		"Numbers":         {`{"ids": [123]}`, nil, 400, ""},
		"Nested":          {`{"ids": [["cus_000123"]]}`, nil, 400, ""},
		"Object":          {`{"ids": {"0": "cus_000123"}}`, nil, 400, ""},
		"OneText":         {`{"ids": "cus_000123"}`, nil, 400, ""},
		"UnknownField":    {`{"ids": ["cus_000123"], "actor": "ada"}`, nil, 400, "actor"},
		"Capitals":        {`{"IDS": ["cus_000123"]}`, nil, 400, ""},
		"Twice":           {`{"ids": ["cus_000123"], "ids": []}`, nil, 400, ""},
		"MoreBehind":      {good + good, nil, 400, ""},
		"Cut":             {good[:len(good)-3], nil, 400, ""},
		"NoUTF8":          {"{\"ids\": [\"cus_\xff\"]}", nil, 400, ""},
		"Deep":            {strings.Repeat("[", 100_000), nil, 400, ""},
		"DeepInside":      {`{"ids": ` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}", nil, 400, ""},
		"Huge":            {strings.Repeat(" ", 1<<20) + good, nil, 413, "At most 1048576 bytes"},
		"TenMegabytes":    {`{"ids": ["` + strings.Repeat("x", 10<<20) + `"]}`, nil, 413, ""},
		"NoID":            {names("cus_000123", "../admin"), nil, 422, `"invalid":["../admin"]`},
		"EmptyID":         {names("cus_000123", ""), nil, 422, `"invalid":[""]`},
		"NullID":          {`{"ids": [null]}`, nil, 422, ""},
		"LongID":          {names("cus_" + strings.Repeat("1", 300)), nil, 422, "…"},
		"LineBreak":       {names("cus_000123\n"), nil, 422, ""},
		"SQL":             {names("cus_000123' or 1=1 --"), nil, 422, ""},
		"Markup":          {names("<script>alert(1)</script>"), nil, 422, `\u003cscript\u003e`},
		"AllThatIsBad":    {names("a", "cus_000123", "b", "c"), nil, 422, `"invalid":["a","b","c"]`},
		"AnotherID":       {names("acc_000123"), nil, 422, ""},
		"NumbersOfOthers": {names("cus_١٢٣٤٥٦"), nil, 422, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := openToServices(t)
			got := w.hint(c.body, c.headers...)
			require.Equal(t, c.want, got.status, got.body)
			require.Contains(t, got.body, c.says)
			require.Less(t, len(got.body), 2000)
			require.Equal(t, "no-store", got.header.Get("Cache-Control"))
			require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
			require.Empty(t, got.header.Get("Access-Control-Allow-Origin"))
			require.Equal(t, c.want == 401, got.header.Get("WWW-Authenticate") == "Bearer")
			if c.want != 421 {
				require.Equal(t, "application/problem+json", got.header.Get("Content-Type"))
				require.True(t, json.Valid([]byte(got.body)))
			}
			w.requireNothingAsked()
			require.Empty(t, w.log.String(), "what others do wrong is no error of ours")
		})
	}

	t.Run("OtherMethods", func(t *testing.T) {
		t.Parallel()
		w := openToServices(t)
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
			stranger := w.visitor().do(method, "/api/v1/observe", strings.NewReader(good), map[string]string{"Origin": "https://evil.example"})
			require.Equal(t, http.StatusUnauthorized, stranger.status, method)
			require.Empty(t, stranger.header.Get("Access-Control-Allow-Origin"))
			got := w.visitor().do(method, "/api/v1/observe", strings.NewReader(good), map[string]string{"Authorization": "Bearer " + observeToken,
				"Content-Type": "application/json", "X-HTTP-Method-Override": "POST"})
			require.Equal(t, http.StatusMethodNotAllowed, got.status, method)
			require.Equal(t, "POST", got.header.Get("Allow"))
		}
		w.requireNothingAsked()
	})
	t.Run("ASessionIsNoToken", func(t *testing.T) {
		t.Parallel()
		w := openToServices(t)
		got := w.member().do(http.MethodPost, "/api/v1/observe?token="+observeToken, strings.NewReader(good), map[string]string{"Content-Type": "application/json",
			"Origin": w.server.URL(), "Sec-Fetch-Site": "same-origin"})
		require.Equal(t, http.StatusUnauthorized, got.status)
		w.requireNothingAsked()
	})
	t.Run("ATokenIsNoSession", func(t *testing.T) {
		t.Parallel()
		w := openToServices(t)
		for _, r := range w.server.routes() {
			if !r.open {
				got := w.visitor().do(http.MethodGet, place(r.path), nil, map[string]string{"Authorization": "Bearer " + observeToken})
				require.Equal(t, http.StatusUnauthorized, got.status, r.path)
			}
		}
	})
	t.Run("SentinelsAreNobody", func(t *testing.T) {
		t.Parallel()
		w := openToServices(t)
		w.desk.Schema.Services[0].Sentinels = amend.Sentinels{Present: "cus_000001", Absent: "cus_000000"}
		require.Equal(t, http.StatusUnprocessableEntity, w.hint(names("cus_000001")).status)
		w.requireNothingAsked()
	})
	t.Run("WithoutAPattern", func(t *testing.T) {
		t.Parallel()
		w := openToServices(t)
		w.desk.Schema.Entity.ID = nil
		for _, id := range []string{"", "a\x00b", "a\r\nX: y", strings.Repeat("x", 257)} {
			require.Equal(t, http.StatusUnprocessableEntity, w.hint(names(id)).status, "%q", id)
		}
		require.Equal(t, http.StatusAccepted, w.hint(names("4711 / a")).status)
	})
}

// TestObserveTooOften: guessing and flooding are slowed down, and neither shuts
// others out (S43).
func TestObserveTooOften(t *testing.T) {
	t.Parallel()
	good := names("cus_000123")
	t.Run("WrongTokens", func(t *testing.T) {
		t.Parallel()
		w := openToServices(t)
		guess := func(n int) reply {
			return w.hint(good, "Authorization", fmt.Sprintf("Bearer guess%d", n), "X-Forwarded-For", fmt.Sprintf("192.0.2.%d", n), "X-Real-Ip", fmt.Sprintf("192.0.2.%d", n))
		}
		for n := range 10 {
			require.Equal(t, http.StatusUnauthorized, guess(n).status)
		}
		for n := range 90 {
			got := guess(100 + n)
			require.Equal(t, http.StatusTooManyRequests, got.status)
			require.Equal(t, "6", got.header.Get("Retry-After"))
		}
		require.Equal(t, http.StatusAccepted, w.hint(good).status, "whoever has the token isn't shut out")
		w.clock.forward(6 * time.Second)
		require.Equal(t, http.StatusUnauthorized, guess(1).status)
		require.Equal(t, http.StatusTooManyRequests, guess(1).status)
	})
	t.Run("TooManyCalls", func(t *testing.T) {
		t.Parallel()
		w := openToServices(t)
		for range 20 {
			require.Equal(t, http.StatusAccepted, w.hint(good).status)
		}
		got := w.hint(names("cus_000200"))
		require.Equal(t, http.StatusTooManyRequests, got.status)
		require.Equal(t, "1", got.header.Get("Retry-After"))
		require.Empty(t, w.looks("cus_000200"))
		w.clock.forward(100 * time.Millisecond)
		require.Equal(t, http.StatusAccepted, w.hint(names("cus_000200")).status)
	})
	t.Run("ManyAddresses", func(t *testing.T) {
		t.Parallel()
		clock := &hands{now: start}
		p := newPass(amend.NewSecret(observeToken), clock.Now)
		try := func(i int) (status int) {
			r := newRequest(t)
			r.RemoteAddr = fmt.Sprintf("127.%d.%d.%d:4000", i>>16&255, i>>8&255, i&255)
			var no rejection
			require.ErrorAs(t, p.check(r), &no)
			return no.status
		}
		for i := range 5000 {
			try(i)
		}
		require.LessOrEqual(t, len(p.wrong), addressLimit, "they can't fill the memory")
		require.Equal(t, http.StatusTooManyRequests, try(5000), "whom there is no room for share one allowance")
		require.Equal(t, http.StatusUnauthorized, try(0))
		clock.forward(time.Hour)
		require.Equal(t, http.StatusUnauthorized, try(5001))
		require.Len(t, p.wrong, 1, "who has stopped is forgotten")
		r := newRequest(t)
		r.RemoteAddr = "pipe"
		require.Error(t, p.check(r))
	})
}

// TestObserveFails: an error of ours is logged once, under an ID that the caller
// is told, and gives nothing away (S30).
func TestObserveFails(t *testing.T) {
	t.Parallel()
	w := openToServices(t)
	require.True(t, w.server.options.Observe.Empty(), "its hash is enough")
	gone, err := store.Open(t.Context(), "sqlite:"+t.TempDir()+"/gone.db", store.Options{})
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	w.server.options.Desk.Store = gone
	got := w.hint(names("cus_000123"))
	require.GreaterOrEqual(t, got.status, 500)
	var said struct{ Detail string }
	require.NoError(t, json.Unmarshal([]byte(got.body), &said))
	require.Contains(t, said.Detail, "err_")
	require.Equal(t, 1, strings.Count(w.log.String(), "\n"))
	require.Contains(t, w.log.String(), `"path":"/api/v1/observe"`)

	for _, text := range []string{w.log.String(), got.body, fmt.Sprintf("%+v", w.server.options)} {
		require.NotContains(t, text, observeToken)
	}
}

// FuzzObserve: whatever is sent, the answer is one of those that are meant (S42).
func FuzzObserve(f *testing.F) {
	for _, seed := range []string{names("cus_000123"), "{}", "null", `{"ids":[null,"",1e9]}`, `{"ids":["\ud800"]}`, "\xff", strings.Repeat(`{"ids":`, 20_000)} {
		f.Add(seed)
	}
	db, err := store.Open(f.Context(), "sqlite:"+f.TempDir()+"/amend.db", store.Options{})
	require.NoError(f, err)
	f.Cleanup(func() { db.Close() })
	s := &Server{options: Options{Desk: &desk.Desk{Schema: bank(), Store: db, Now: time.Now}, Log: slog.New(slog.DiscardHandler), Now: time.Now}, pass: newPass(amend.NewSecret(observeToken), time.Now)}
	f.Fuzz(func(t *testing.T, body string) {
		s.pass.calls = newPass(amend.NewSecret(observeToken), time.Now).calls
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/observe", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+observeToken)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.reply(w, r, s.calls()[0])
		require.Contains(t, []int{202, 400, 413, 422}, w.Code, w.Body.String())
		require.True(t, json.Valid(w.Body.Bytes()))
	})
}
