package main

import (
	stdjson "encoding/json"
	"errors"
	"regexp"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/tidwall/gjson"
)

var validID = regexp.MustCompile(`^cus_[0-9]{6,}$`)

var errNotDeclared = errors.New("a record is not as declared")

// decoded is a page for libraries that fill structs.
type decoded struct {
	Customers []struct {
		ID      string `json:"id"`
		Status  string `json:"status"`
		Contact struct {
			Email string `json:"email"`
		} `json:"contact"`
		Country   string    `json:"country"`
		UpdatedAt time.Time `json:"updated_at"`
	} `json:"customers"`
}

func (d *decoded) records() ([]record, error) {
	all := make([]record, 0, len(d.Customers))
	for i := range d.Customers {
		c := &d.Customers[i]
		if !validID.MatchString(c.ID) || !known(c.Status) {
			return nil, errNotDeclared
		}
		all = append(all, record{c.ID, c.Status, c.Contact.Email, c.Country, c.UpdatedAt})
	}
	return all, nil
}

func known(status string) bool {
	return status == "pending" || status == "approved" || status == "rejected"
}

func byJSONv2(page []byte) ([]record, error) {
	var d decoded
	if err := json.Unmarshal(page, &d); err != nil {
		return nil, err
	}
	return d.records()
}

func byStructs(page []byte) ([]record, error) {
	var d decoded
	if err := stdjson.Unmarshal(page, &d); err != nil {
		return nil, err
	}
	return d.records()
}

func byMaps(page []byte) ([]record, error) {
	var d map[string]any
	if err := stdjson.Unmarshal(page, &d); err != nil {
		return nil, err
	}
	list, _ := d["customers"].([]any)
	all := make([]record, 0, len(list))
	for _, one := range list {
		item, _ := one.(map[string]any)
		contact, _ := item["contact"].(map[string]any)
		text := func(of map[string]any, name string) string { s, _ := of[name].(string); return s }
		r := record{ID: text(item, "id"), Status: text(item, "status"), Email: text(contact, "email"), Country: text(item, "country")}
		at, err := time.Parse(time.RFC3339Nano, text(item, "updated_at"))
		if err != nil || !validID.MatchString(r.ID) || !known(r.Status) {
			return nil, errNotDeclared
		}
		r.ChangedAt = at
		all = append(all, r)
	}
	return all, nil
}

func byGJSON(page []byte) ([]record, error) {
	var err error
	all := make([]record, 0, records)
	gjson.GetBytes(page, "customers").ForEach(func(_, item gjson.Result) bool {
		var r record
		item.ForEach(func(name, value gjson.Result) bool { // five times as fast as asking for one name after the other
			switch name.Str {
			case "id":
				r.ID = value.Str
			case "status":
				r.Status = value.Str
			case "contact":
				r.Email = value.Get("email").Str
			case "country":
				r.Country = value.Str
			case "updated_at":
				r.ChangedAt, err = time.Parse(time.RFC3339Nano, value.Str)
			}
			return true
		})
		if !validID.MatchString(r.ID) || !known(r.Status) {
			err = errNotDeclared
		}
		all = append(all, r)
		return err == nil
	})
	return all, err
}
