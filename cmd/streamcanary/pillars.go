package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/decisions/pillars"
	"streamcanary/schemas"
)

// beside is the path of a file that a rollout's file names: it is relative to its folder.
func beside(file, path string) string {
	if filepath.IsAbs(path) || file == "-" {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}

// readOffline reads the offline scores that a rollout names, if it does, and gives them to it; every error is wrong use.
func readOffline(file string, r *schemas.Rollout) error {
	if r.Training == nil {
		return nil
	}
	fail := func(err error) error {
		return wrongUse{fmt.Errorf("read what spec.training.scores names: %w", err)}
	}
	path := beside(file, r.Training.Scores)
	f, err := os.Open(path)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	scores, err := schemas.ReadScores(path, f)
	if err != nil {
		return fail(err)
	}
	return r.WithOffline(scores)
}

// offlineOf are the offline scores of a rollout; nil: it has none.
func offlineOf(r *schemas.Rollout) *schemas.OfflineScores {
	if r.Training == nil {
		return nil
	}
	return r.Training.Offline
}

// readDocuments reads the files that a rollout's pillars name, from the folder of the rollout's file; every error is wrong use.
func readDocuments(file string, r *schemas.Rollout) (map[string]string, error) {
	documents := map[string]string{}
	for _, ref := range r.Pillars.References() {
		if ref.Subject != "" {
			continue
		}
		text, err := readDocument(beside(file, ref.File))
		if err != nil {
			return nil, wrongUse{fmt.Errorf("read what spec.pillars names: %w", err)}
		}
		documents[ref.File] = text
	}
	return documents, nil
}

func readDocument(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, serve.MaxDocumentsBytes+1))
	if err != nil {
		return "", err
	}
	if len(text) > serve.MaxDocumentsBytes {
		return "", fmt.Errorf("%s has more than %d bytes: keep it in a Schema Registry, and name it with subject:", path, serve.MaxDocumentsBytes)
	}
	return string(text), nil
}

// checkPillars checks all that `check` can: without registries and routers, unless it is told to ask them.
func checkPillars(ctx context.Context, c *console, of *reach, q pillarQuestion) ([]decisions.Pillar, error) {
	documents, err := readDocuments(q.file, q.rollout)
	if err != nil {
		return nil, err
	}
	query := pillars.Query{Pillars: &q.rollout.Pillars, Documents: documents, Offline: !q.online}
	if !q.online {
		return pillars.Check(ctx, pillars.Registries{}, query), nil
	}
	config, err := readConfig(c, of.config, of.data)
	if err != nil {
		return nil, err
	}
	registries, err := serve.Registries(&config.Registries)
	if err != nil {
		return nil, err
	}
	routing, pins := lookForRouters(ctx, c, of, q.rollout)
	query.Pins = pins
	return append(pillars.Check(ctx, registries, query), routing), nil
}

// pillarQuestion is whose pillars to check.
type pillarQuestion struct {
	rollout *schemas.Rollout
	file    string
	online  bool
}

// lookForRouters says whether the model's routers answer, and what the versions of its rollouts were when they started.
func lookForRouters(ctx context.Context, c *console, of *reach, r *schemas.Rollout) (decisions.Pillar, []decisions.Pin) {
	pillar := func(state decisions.PillarState, why error) decisions.Pillar {
		return decisions.NewPillar(decisions.PillarRouting, state, []string{why.Error()})
	}
	if _, _, err := of.addresses(c); err != nil {
		return pillar(decisions.PillarUnchecked, err), nil
	}
	b, _, err := of.bus(ctx, c)
	if err != nil {
		return pillar(decisions.PillarFailed, err), nil
	}
	defer b.Close()
	current, pins, err := epochOf(ctx, b, r.Model)
	if err != nil {
		return pillar(decisions.PillarFailed, err), nil
	}
	kept, err := b.Pins(ctx, r.Model)
	if err != nil {
		return pillar(decisions.PillarFailed, err), nil
	}
	pins = append(kept, pins...)
	terms := decisions.TermsOf(r)
	return decisions.RoutingPillar(&terms, current), pins
}

// epochOf is the newest epoch of a model that has asked routers for something (nil: none has), and what versions were when rollouts of it started.
func epochOf(ctx context.Context, b *bus.Bus, model string) (*decisions.State, []decisions.Pin, error) {
	specs, err := b.Specs(ctx)
	if err != nil {
		return nil, nil, err
	}
	var newest *decisions.State
	var pins []decisions.Pin
	for _, s := range specs {
		head, _, err := b.LoadHead(ctx, s.Rollout)
		switch state := &head.State; {
		case errors.Is(err, bus.ErrNotFound), errors.Is(err, bus.ErrUnreadable):
		case err != nil:
			return nil, nil, err
		case state.Terms.Model != model:
		default:
			pins = append(pins, decisions.PinsOf(state)...)
			if state.Status != decisions.StatusRefused && (newest == nil || state.Epoch > newest.Epoch) {
				newest = state
			}
		}
	}
	return newest, pins, nil
}

// printPillars tells of each pillar what was found, a line each, and last those that nobody has looked at.
func printPillars(w io.Writer, all []decisions.Pillar, unnamed []decisions.PillarName) {
	for i := range all {
		printPillar(w, &all[i], "")
	}
	if len(unnamed) > 0 {
		fmt.Fprintf(w, "not checked, since the rollout's pillars don't name them: %s\n", joined(unnamed))
	}
}

// printPillar tells of one; when is when that was found, e.g. " at the start", where it may be otherwise now.
func printPillar(w io.Writer, p *decisions.Pillar, when string) {
	state := string(p.State)
	if p.State == decisions.PillarUnchecked {
		state = "not checked"
	}
	fmt.Fprintf(w, "pillar %s: %s%s\n", p.Name, state, when)
	for _, found := range p.Found {
		say(w, "  %s\n", found)
	}
	for _, change := range p.Changes {
		say(w, "  changed: %s\n", change)
	}
}

// printWatched tells of each pillar of a rollout what held at its start, and what became of it since.
func printWatched(w io.Writer, s *decisions.State) {
	since := s.WatchedTexts()
	for i := range s.Pillars {
		name := string(s.Pillars[i].Name) + ":"
		later := func(text string) bool { return strings.HasPrefix(text, name) }
		when := ""
		if slices.ContainsFunc(since, later) {
			when = " at the start"
		}
		printPillar(w, &s.Pillars[i], when)
	}
	for _, text := range since {
		say(w, "pillar %s\n", text)
	}
}

func joined(names []decisions.PillarName) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return strings.Join(texts, ", ")
}

// wouldNotStart is the error of a rollout whose pillars failed; nil: none did.
func wouldNotStart(r *schemas.Rollout, all []decisions.Pillar) error {
	var names []decisions.PillarName
	for i := range all {
		if all[i].State == decisions.PillarFailed {
			names = append(names, all[i].Name)
		}
	}
	if names == nil {
		return nil
	}
	if len(names) == 1 && names[0] == decisions.PillarRouting {
		return fmt.Errorf("rollout %s would start, and nothing would be judged before routers have answered: routing failed", r.Name)
	}
	return fmt.Errorf("rollout %s would not start: these pillars failed: %s", r.Name, joined(names))
}
