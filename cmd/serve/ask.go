package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Bounds of asking a running service.
const (
	askWithin   = 2 * time.Second
	answerBytes = 64 << 20 // a thousand rollouts with all their guardrails fit
)

// Ask reads where the rollouts stand from the HTTP address of a running service. It takes two seconds at most.
func Ask(ctx context.Context, address string) ([]Standing, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	url := "http://" + address + "/v1/rollouts"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for rollouts: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask for rollouts: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask for rollouts at %s: it answers %s", url, response.Status)
	}
	var all []Standing
	if err := json.NewDecoder(io.LimitReader(response.Body, answerBytes)).Decode(&all); err != nil {
		return nil, fmt.Errorf("ask for rollouts at %s: %w", url, err)
	}
	return all, nil
}
