package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInterrupted: long work ends when a person ends it, with status 1 and one line that says so.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	rollout, log := filepath.Join(dir, "r.yaml"), filepath.Join(dir, "log.ndjson")
	text := "kind: Rollout\nmetadata: {name: r}\nspec: {model: ranker, baseline: {version: v1}, canary: {version: v2}}\n"
	if err := os.WriteFile(rollout, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	event := `{"type":"prediction","id":"a","ts":1767603600001,"model":"ranker","version":"v1","latency_ms":1}` + "\n"
	if err := os.WriteFile(log, []byte(strings.Repeat(event, 100_000)), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{
		{"loadgen", "--scenario", "healthy", filepath.Join(dir, "events.ndjson")},
		{"loadgen", "--scenario", "healthy"},
		{"replay", "--rollout", rollout, log},
		{"demo"},
	} {
		var out, stderr bytes.Buffer
		status := run(ctx, args, &console{in: strings.NewReader(""), out: &out, err: &stderr})
		if line := stderr.String(); status != exitFailed || !strings.HasPrefix(line, "streamcanary: ") || !strings.HasSuffix(line, "interrupted\n") || strings.Count(line, "\n") != 1 {
			t.Errorf("%v: status %d, %q", args, status, line)
		}
	}
}
