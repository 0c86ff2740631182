package subscribe

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"fmt"

	"streamcanary/schemas"
)

// Version orders a model's decisions: by epoch, then by number in it. The zero value is below every decision.
type Version struct {
	Epoch int64 `json:"epoch"`
	Seq   int64 `json:"seq"`
}

func versionOf(d *schemas.Decision) Version { return Version{d.Epoch, d.Seq} }

// Compare is negative, zero or positive as v is below, equal to or above w.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Epoch, w.Epoch), cmp.Compare(v.Seq, w.Seq))
}

// verified returns the decision of a message, if a trusted key signed its exact bytes and it is what it says: one of this model, under the
// id that its rollout, epoch and seq give.
func (f *follower) verified(m message) (*schemas.Decision, error) {
	learn := f.o.TrustOnFirstUse && len(f.trust.IDs()) == 0
	trust := f.trust
	if learn && len(m.public) == ed25519.PublicKeySize {
		trust = schemas.NewTrust(ed25519.PublicKey(bytes.Clone(m.public)))
	}
	if err := trust.Verify(m.signed); err != nil {
		return nil, err
	}
	decision, err := schemas.DecodeDecision(m.signed.Body)
	if err != nil {
		return nil, err
	}
	id, err := schemas.DecisionID(decision.Rollout, decision.Epoch, decision.Seq)
	if err != nil || id != decision.ID {
		return nil, fmt.Errorf("decision %q of rollout %s, epoch %d, seq %d: its id should be %q", decision.ID, decision.Rollout, decision.Epoch, decision.Seq, id)
	}
	if decision.Model != f.model {
		return nil, fmt.Errorf("decision %s is of model %q", decision.ID, decision.Model)
	}
	if learn {
		return decision, f.learn(trust)
	}
	return decision, nil
}

// learn keeps the first key for good.
func (f *follower) learn(trust schemas.Trust) error {
	next := f.position
	next.Trust = string(trust.Bytes())
	if err := f.o.Store.Save(f.model, next); err != nil {
		return fmt.Errorf("store the key that is trusted on first use: %w", err)
	}
	f.position, f.trust = next, trust
	return nil
}

// trustStored takes the keys from the options, else the one that was learned earlier.
func (f *follower) trustStored() error {
	f.trust = f.o.Trust
	if !f.o.TrustOnFirstUse || f.position.Trust == "" {
		return nil
	}
	trust, err := schemas.ParseTrust("stored key", []byte(f.position.Trust))
	f.trust = trust
	return err
}

// passage is how a decision comes through the fence.
type passage uint8

const (
	fenceStale   passage = iota // nothing to do: below what was seen, or just that
	fenceDone                   // carried out already: only answer again
	fenceRestore                // its routes are in force, and this run has not handed them over
	fenceNew
)

// fence places a decision among those that were seen and carried out. again: the route document holds it not for the first time.
func (f *follower) fence(d *schemas.Decision, again bool) passage {
	v := versionOf(d)
	routes := len(d.Routes) > 0 && d.Mode == schemas.Enforce
	switch {
	case routes && !f.restored && v == f.position.Routes && f.seen == f.position.Applied:
		return fenceRestore
	case v == f.position.Applied && v == f.seen:
		return fenceDone
	case v.Compare(f.position.Applied) <= 0, v.Compare(f.overtaken) <= 0, v.Compare(f.seen) < 0:
		return fenceStale
	case v == f.seen && !again:
		return fenceStale // the handler has it, or has refused it
	}
	return fenceNew
}
