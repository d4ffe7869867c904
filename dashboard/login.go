package dashboard

import (
	"net/http"
)

// loginPage is what the link in the terminal leads to. Opening it uses nothing
// up, since programs that preview links open them too: only its button does.
type loginPage struct {
	frame
	Token string // empty where the link can't be used
}

func (s *Server) loginPage(r *http.Request) (answer, error) {
	token := r.URL.Query().Get("token")
	if !s.doors.usable(token) {
		return answer{}, s.deadLink()
	}
	return answer{page: "login", data: loginPage{frame: s.bareFrame("Log in"), Token: token}}, nil
}

// login begins a session, always with a new ID, and ends the one that the
// browser may have had.
func (s *Server) login(r *http.Request) (answer, error) {
	id, entered := s.doors.enter(r.PostForm.Get("token"))
	if !entered {
		return answer{}, s.deadLink()
	}
	if old, err := r.Cookie(s.cookie); err == nil {
		s.doors.leave(old.Value)
	}
	// Secure, and with it the prefix __Host-, need https, and not every browser
	// makes an exception for loopback.
	cookie := &http.Cookie{Name: s.cookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode}
	return answer{to: "/", cookie: cookie}, nil
}

func (s *Server) loggedIn(r *http.Request) bool {
	cookie, err := r.Cookie(s.cookie)
	return err == nil && s.doors.inside(cookie.Value)
}

// stranger answers whoever has no session.
func (s *Server) stranger() fault {
	return fault{status: http.StatusUnauthorized, title: "Please log in",
		text: "You have no session in this browser, or it has ended: after 30 minutes without use, and after 8 hours at the latest.",
		next: s.wayIn(), again: true}
}

func (s *Server) deadLink() fault {
	return fault{status: http.StatusUnauthorized, title: "This login link can't be used", text: "A link works once, within ten minutes.", next: s.wayIn()}
}

// wayIn says how to get in, and puts a fresh link into the terminal where the
// last one is used up.
func (s *Server) wayIn() string {
	if s.options.Announce == nil {
		return "Start amend again and open the link that it prints."
	}
	if token, fresh := s.doors.offer(); fresh {
		s.options.Announce(s.loginURL(token))
	}
	return "Open the newest login link in the terminal where amend runs."
}
