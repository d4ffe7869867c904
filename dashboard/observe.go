package dashboard

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/go-json-experiment/json"

	"amend/desk"
)

// observe takes the hint of a service that customers may have changed.
func (s *Server) observe(q *http.Request) (status int, body any, err error) {
	text, err := io.ReadAll(q.Body)
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return 0, nil, rejection{status: http.StatusRequestEntityTooLarge, title: "The body is too large", detail: fmt.Sprintf("At most %d bytes.", tooLarge.Limit)}
	} else if err != nil {
		return 0, nil, rejection{status: http.StatusBadRequest, title: "The body could not be read"}
	}
	var sent struct {
		IDs []string `json:"ids"`
	}
	const want = `The body looks like {"ids": ["..."]}.`
	if err := json.Unmarshal(text, &sent, json.RejectUnknownMembers(true)); err != nil {
		return 0, nil, rejection{status: http.StatusBadRequest, title: "The body could not be read", detail: want + " " + clip(err.Error())}
	}
	switch {
	case sent.IDs == nil:
		return 0, nil, rejection{status: http.StatusBadRequest, title: "The IDs are missing", detail: want}
	case len(sent.IDs) > desk.ObserveLimit:
		return 0, nil, rejection{status: http.StatusRequestEntityTooLarge, title: "Too many IDs", detail: fmt.Sprintf("%d were sent, %d are taken at once.", len(sent.IDs), desk.ObserveLimit)}
	}
	seen, err := s.options.Desk.Observe(q.Context(), sent.IDs)
	var bad *desk.Unacceptable
	if errors.As(err, &bad) {
		r := rejection{status: http.StatusUnprocessableEntity, title: "Some of these can't be IDs", detail: "Nothing was taken. Leave them out and send the others again."}
		for _, text := range bad.Texts {
			r.invalid = append(r.invalid, clip(text))
		}
		return 0, nil, r
	}
	if err != nil {
		return 0, nil, err
	}
	return http.StatusAccepted, map[string]int{"named": seen.Named, "asked": seen.Asked, "waiting": seen.Waiting}, nil
}
