package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"streamcanary/schemas"
)

// Bounds of asking a running service.
const (
	askWithin   = 2 * time.Second
	answerBytes = 64 << 20 // a thousand rollouts with all their guardrails fit
)

// ErrDenied: whoever asks may not look at rollouts.
var ErrDenied = errors.New("denied")

// Ask reads where the rollouts stand from the HTTP address of a running service, with the token of whoever asks where there is one. It takes two seconds
// at most. ErrDenied where the token is missing or not enough.
func Ask(ctx context.Context, a *Addresses) ([]Standing, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	url := "http://" + a.HTTP + "/v1/rollouts"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for rollouts: %w", err)
	}
	if a.Token != "" {
		request.Header.Set("Authorization", a.Token)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask for rollouts: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusForbidden || response.StatusCode == http.StatusUnauthorized {
		why, _ := io.ReadAll(io.LimitReader(response.Body, schemas.MaxCommandBytes)) // what there is of it
		return nil, fmt.Errorf("ask for rollouts at %s: %w: %s", url, ErrDenied, strings.TrimSpace(string(why)))
	}
	if response.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(response.Body, schemas.MaxCommandBytes))
		return nil, fmt.Errorf("ask for rollouts at %s: it answers %s: %s", url, response.Status, strings.TrimSpace(string(why)))
	}
	var all []Standing
	if err := json.NewDecoder(io.LimitReader(response.Body, answerBytes)).Decode(&all); err != nil {
		return nil, fmt.Errorf("ask for rollouts at %s: %w", url, err)
	}
	return all, nil
}
