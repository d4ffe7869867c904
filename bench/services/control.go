package services

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Control is the harness's side of the services.
type Control struct{ At Addresses }

// Load begins anew: nobody is mended, and nothing was counted.
func (c *Control) Load(ctx context.Context, l Load) error {
	body, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("write the load: %w", err)
	}
	_, err = c.call(ctx, http.MethodPut, "/load", body)
	return err
}

// Counts is what was asked for since Load.
func (c *Control) Counts(ctx context.Context) (all Counts, err error) {
	body, err := c.call(ctx, http.MethodGet, "/counts", nil)
	if err != nil {
		return all, err
	}
	if err := json.Unmarshal(body, &all); err != nil {
		return all, fmt.Errorf("read the counts: %w", err)
	}
	return all, nil
}

func (c *Control) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.At.Control+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask the services: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the services: %w", err)
	}
	defer answer.Body.Close() //nolint:errcheck // it has been read
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask the services: %s", answer.Status)
	}
	return io.ReadAll(answer.Body)
}
