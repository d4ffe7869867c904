package dashboard

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strings"
)

//go:embed templates static
var files embed.FS

// layouts are the parsed pages, by name.
type layouts struct{ pages map[string]*template.Template }

// parse reads every page at the start, so that a broken one stops the program
// and not a visitor.
func parse() (*layouts, error) {
	base, err := template.New("").Funcs(template.FuncMap{"capital": capital}).Option("missingkey=error").ParseFS(files, "templates/parts/*.html")
	if err != nil {
		return nil, fmt.Errorf("read the page layout: %w", err)
	}
	entries, err := files.ReadDir("templates")
	if err != nil {
		return nil, fmt.Errorf("list the pages: %w", err)
	}
	all := &layouts{pages: map[string]*template.Template{}}
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		own, err := base.Clone()
		if err == nil {
			own, err = own.ParseFS(files, path.Join("templates", entry.Name()))
		}
		if err != nil {
			return nil, fmt.Errorf("read the page %s: %w", entry.Name(), err)
		}
		all.pages[strings.TrimSuffix(entry.Name(), ".html")] = own
	}
	return all, nil
}

// answer is what goes back: a page with its data, a redirect, or plain bytes.
type answer struct {
	status int // default 200
	page   string
	data   any
	to     string // go on there with GET
	kind   string // the content type of body
	body   []byte
	cookie *http.Cookie
	allow  string
}

// write sends an answer. It is rendered whole before the first byte leaves, so
// a page is never cut off in the middle by an error.
func (s *Server) write(w http.ResponseWriter, r *http.Request, a answer, err error) {
	if err != nil {
		a = s.showFault(r, err)
	}
	if a.cookie != nil {
		http.SetCookie(w, a.cookie)
	}
	if a.allow != "" {
		w.Header().Set("Allow", a.allow)
	}
	if a.to != "" {
		http.Redirect(w, r, a.to, http.StatusSeeOther)
		return
	}
	if a.page != "" {
		if a, err = s.rendered(r, a); err != nil {
			http.Error(w, "This page could not be made. The log has the cause.", http.StatusInternalServerError)
			s.options.Log.Error("an error page failed", "path", r.URL.Path, "error", err)
			return
		}
	}
	w.Header().Set("Content-Type", a.kind)
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	w.Write(a.body)
}

// rendered turns a page into bytes; one that fails becomes the page that says
// so.
func (s *Server) rendered(r *http.Request, a answer) (answer, error) {
	body, err := s.layouts.execute(a)
	if err != nil {
		a = s.showFault(r, err)
		if body, err = s.layouts.execute(a); err != nil {
			return a, err
		}
	}
	a.kind, a.body = "text/html; charset=utf-8", body
	return a, nil
}

func (l *layouts) execute(a answer) ([]byte, error) {
	page, known := l.pages[a.page]
	if !known {
		return nil, fmt.Errorf("there is no page %q", a.page)
	}
	var buffer bytes.Buffer
	if err := page.ExecuteTemplate(&buffer, "layout", a.data); err != nil {
		return nil, fmt.Errorf("render %s: %w", a.page, err)
	}
	return buffer.Bytes(), nil
}

// kinds are the content types of what lies in static.
var kinds = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

func (s *Server) static(r *http.Request) (answer, error) {
	name := r.PathValue("file")
	body, err := files.ReadFile(path.Join("static", path.Base(name)))
	if err != nil {
		return s.missing(r)
	}
	return answer{kind: kinds[path.Ext(name)], body: body}, nil
}
