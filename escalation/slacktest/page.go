package slacktest

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
)

//go:embed page.html style.css
var files embed.FS

var pageTemplate = template.Must(template.ParseFS(files, "page.html"))

// The page loads nothing but its style sheet, and nothing may load it.
const pagePolicy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// page shows the messages to a person who looks at what Slack would show.
func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, s.pageData()); err != nil {
		http.Error(w, "the page can't be shown", http.StatusInternalServerError)
		return
	}
	secure(w)
	send(w, http.StatusOK, "text/html; charset=utf-8", out.Bytes())
}

func (s *Server) style(w http.ResponseWriter, r *http.Request) {
	secure(w)
	http.ServeFileFS(w, r, files, "style.css")
}

func secure(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}
