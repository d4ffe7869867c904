package main

import (
	"bytes"
	"io"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// byTokens walks a page with jsontext and picks what is declared: what amend did
// before it had a scanner of its own.
func byTokens(page []byte) ([]record, error) {
	w := tokenWalk{dec: jsontext.NewDecoder(bytes.NewBuffer(page)), all: make([]record, 0, records)}
	err := w.object(func(name string) error {
		if name == "customers" {
			return w.list()
		}
		return w.dec.SkipValue()
	})
	if err != nil {
		return nil, err
	}
	if _, err := w.dec.ReadToken(); err != io.EOF {
		return nil, errNotDeclared
	}
	return w.all, nil
}

type tokenWalk struct {
	dec *jsontext.Decoder
	all []record
}

// object calls each with each name; it reads the value.
func (w *tokenWalk) object(each func(name string) error) error {
	if _, err := w.dec.ReadToken(); err != nil {
		return err
	}
	for w.dec.PeekKind() != '}' {
		name, err := w.dec.ReadValue()
		if err != nil {
			return err
		}
		if err := each(known5(name)); err != nil {
			return err
		}
	}
	_, err := w.dec.ReadToken()
	return err
}

// known5 gives the declared names without making a string.
func known5(quoted []byte) string {
	switch string(quoted) {
	case `"id"`:
		return "id"
	case `"status"`:
		return "status"
	case `"contact"`:
		return "contact"
	case `"email"`:
		return "email"
	case `"country"`:
		return "country"
	case `"updated_at"`:
		return "updated_at"
	case `"customers"`:
		return "customers"
	}
	return ""
}

func (w *tokenWalk) list() error {
	if _, err := w.dec.ReadToken(); err != nil {
		return err
	}
	for w.dec.PeekKind() != ']' {
		var r record
		if err := w.object(func(name string) error { return w.field(&r, name) }); err != nil {
			return err
		}
		if !validID.MatchString(r.ID) || !known(r.Status) {
			return errNotDeclared
		}
		w.all = append(w.all, r)
	}
	_, err := w.dec.ReadToken()
	return err
}

func (w *tokenWalk) field(r *record, name string) error {
	switch name {
	case "":
		return w.dec.SkipValue()
	case "contact":
		return w.object(func(name string) error {
			if name == "email" {
				return w.field(r, name)
			}
			return w.dec.SkipValue()
		})
	}
	raw, err := w.dec.ReadValue()
	if err != nil {
		return err
	}
	text := raw[1 : len(raw)-1]
	switch name {
	case "id":
		r.ID = string(text)
	case "status":
		r.Status = intern(text)
	case "email":
		r.Email = string(text)
	case "country":
		r.Country = string(text)
	case "updated_at":
		r.ChangedAt = time.Time{}
		return r.ChangedAt.UnmarshalText(text)
	}
	return nil
}

// intern gives the known statuses without making a string; any other is none.
func intern(text []byte) string {
	switch string(text) {
	case "pending":
		return "pending"
	case "approved":
		return "approved"
	case "rejected":
		return "rejected"
	}
	return ""
}
