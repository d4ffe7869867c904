// Package customer is what all peers share: how they read a customer from the
// five services, what state that is, and how they repair it. It is written as
// somebody would who has an afternoon for it: an http.Client with enough
// connections, encoding/json into structs, an if for each state.
package customer

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// The services, in the order of their addresses.
const (
	identity = iota
	ledger
	cards
	billing
	compliance
	services
)

// Bank calls the services.
type Bank struct {
	addresses [services]string
	client    *http.Client
}

// Customer is what the services say of one.
type Customer struct {
	Identity *struct {
		Status  string `json:"status"`
		Contact struct {
			Email string `json:"email"`
		} `json:"contact"`
	}
	Ledger *struct {
		Status  string `json:"status"`
		Balance struct {
			Amount string `json:"amount"`
		} `json:"balance"`
	}
	Cards *struct {
		Status string `json:"status"`
	}
	Billing *struct {
		Status string `json:"status"`
		Email  string `json:"email"`
	}
	Compliance *struct {
		Hold bool `json:"hold"`
	}
}

// Broken is the state of whom Repair repairs.
const Broken = "rejected_with_card"

// State is the first of bank.yaml's that fits.
func (c *Customer) State() string {
	switch {
	case c.Compliance != nil && c.Compliance.Hold:
		return "held"
	case c.Identity == nil:
		return "orphaned"
	case c.Identity.Status == "rejected":
		return c.rejected()
	case c.Identity.Status == "pending":
		return "signing_up"
	case c.Ledger == nil:
		return "ledger_missing"
	case c.Ledger.Status != "open":
		return "ledger_unusable"
	case c.Cards == nil:
		return "card_missing"
	case c.Cards.Status == "blocked":
		return "card_blocked"
	case c.Billing == nil:
		return "billing_missing"
	case c.Billing.Email != c.Identity.Contact.Email:
		return "email_differs"
	}
	return "active"
}

func (c *Customer) rejected() string {
	open := c.Ledger != nil && c.Ledger.Status != "closed"
	switch {
	case open && strings.Trim(c.Ledger.Balance.Amount, "-0.") != "":
		return "rejected_with_money"
	case c.Cards != nil && c.Cards.Status != "blocked":
		return Broken
	case c.Billing != nil && c.Billing.Status != "cancelled":
		return "rejected_with_plan"
	case open:
		return "rejected_but_open"
	}
	return "closed"
}

// Look reads a customer from every service, one after another.
func (b *Bank) Look(ctx context.Context, id string) (*Customer, error) {
	var c Customer
	for service, into := range []any{&c.Identity, &c.Ledger, &c.Cards, &c.Billing, &c.Compliance} {
		if err := b.get(ctx, b.addresses[service]+"/customers/"+id, into); err != nil {
			return nil, err
		}
	}
	return &c, nil
}

// Repair blocks the card of a customer.
func (b *Bank) Repair(ctx context.Context, id string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, b.addresses[cards]+"/customers/"+id+"/status", strings.NewReader(`{"status":"blocked"}`))
	if err != nil {
		return err
	}
	return b.do(request, &struct{}{})
}

// Heal looks, repairs whom it can, and looks again. It gives the state that it
// found first.
func (b *Bank) Heal(ctx context.Context, id string) (state string, err error) {
	c, err := b.Look(ctx, id)
	if err != nil || c.State() != Broken {
		if err == nil {
			state = c.State()
		}
		return state, err
	}
	if err := b.Repair(ctx, id); err != nil {
		return "", err
	}
	if c, err = b.Look(ctx, id); err != nil {
		return "", err
	}
	if c.State() != "closed" {
		return "", fmt.Errorf("%s isn't repaired: %s", id, c.State())
	}
	return Broken, nil
}

// Each calls do with the IDs of all customers, a page after another.
func (b *Bank) Each(ctx context.Context, do func(ids []string) error) error {
	for cursor := ""; ; {
		var page struct {
			Items []struct {
				Customer string `json:"customer"`
			} `json:"items"`
			Next string `json:"next"`
		}
		if err := b.get(ctx, b.addresses[identity]+"/customers?limit=1000&fields=customer&cursor="+cursor, &page); err != nil {
			return err
		}
		ids := make([]string, len(page.Items))
		for i, item := range page.Items {
			ids[i] = item.Customer
		}
		if err := do(ids); err != nil {
			return err
		}
		if cursor = page.Next; cursor == "" {
			return nil
		}
	}
}

func (b *Bank) get(ctx context.Context, url string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	return b.do(request, into)
}

func (b *Bank) do(request *http.Request, into any) error {
	answer, err := b.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
		return json.NewDecoder(answer.Body).Decode(into)
	case http.StatusNotFound:
		return nil
	}
	return fmt.Errorf("%s: %s", request.URL, answer.Status)
}
