package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/actuators"
	"streamcanary/decisions/bus"
	"streamcanary/decisions/pillars"
	"streamcanary/schemas"
)

// Registries are the clients of the registries that a configuration names; it reads the files of their TLS settings.
func Registries(config *schemas.Registries) (pillars.Registries, error) {
	return registriesOf(config, nil)
}

// dialer makes connections; nil: as usual.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

func registriesOf(config *schemas.Registries, dial dialer) (pillars.Registries, error) {
	var all pillars.Registries
	for _, x := range []struct {
		key    string
		from   *schemas.Server
		client func(pillars.Endpoint) *pillars.Client
		to     **pillars.Client
	}{
		{"registries.mlflow", config.MLflow, pillars.NewMLflow, &all.MLflow},
		{"registries.schemas", config.Schemas, pillars.NewSchemas, &all.Schemas},
	} {
		if x.from == nil {
			continue
		}
		settings, err := tlsOf(x.key+".tls", x.from.TLS)
		if err != nil {
			return all, err
		}
		*x.to = x.client(pillars.Endpoint{
			URL: x.from.URL, User: x.from.User, TLS: settings, Timeout: x.from.Timeout, Retries: x.from.Retries, Dial: dial,
			Token: func() (string, error) { return actuators.ReadToken(x.from.Token) },
		})
	}
	return all, nil
}

// inspection is the check of an application's pillars: under way, or done.
type inspection struct {
	spec    bus.Spec
	id      string // of the application
	done    bool
	pillars []decisions.Pillar
	model   string
	had     int64 // the model's newest epoch in the journal, where that was asked
	asked   bool
	failed  error // to ask it
}

// backAsks is for how long registries are asked where somebody goes back whatever they say: users wait for it.
const backAsks = 3 * time.Second

// inspect returns what was found of an application's pillars, and has the journal read where nothing else knows which epochs the model has had. Where that isn't known yet it has them checked, by a goroutine of its own since registries
// may take their time, and the application is taken again when that is done (inspected).
func (c *court) inspect(ctx context.Context, s bus.Spec, a *Application, r *schemas.Rollout) ([]decisions.Pillar, bool, error) {
	asks, err := c.asksJournal(ctx, r.Model)
	if err != nil || r.Pillars.None() && !asks {
		return nil, err == nil, err
	}
	if there := c.inspections[s.Rollout]; there != nil && there.id == a.ID {
		return there.pillars, there.done, nil
	}
	x := &inspection{spec: s, id: a.ID, model: r.Model, asked: asks}
	c.inspections[s.Rollout] = x
	query := pillars.Query{Pillars: &r.Pillars, Documents: a.Documents, Pins: c.pins(r.Model)}
	if c.backOf(a, r).PastPillars() {
		query.Within = backAsks
	}
	done := *x
	c.inspectors.Go(func() {
		if !r.Pillars.None() {
			done.pillars = c.checkPillars(ctx, r.Model, query)
		}
		if asks {
			done.had, done.failed = c.epochsHad(ctx, r.Model)
		}
		select {
		case c.inspected <- done:
		case <-ctx.Done():
		}
	})
	return nil, false, nil
}

// checkPillars checks pillars against what registered versions were at first sight, and keeps what they are now of those that were not seen before: that
// outlives the rollout. What can't be read or kept fails the pillar.
func (c *court) checkPillars(ctx context.Context, model string, q pillars.Query) []decisions.Pillar {
	if q.Pillars.MLflow == nil {
		return pillars.Check(ctx, c.registries, q)
	}
	kept, err := c.bus.Pins(ctx, model)
	q.Pins = append(kept, q.Pins...)
	found := pillars.Check(ctx, c.registries, q)
	for i := range found {
		if p := &found[i]; p.Name == decisions.PillarRegistry && p.State == decisions.PillarHeld {
			if err == nil {
				err = c.bus.KeepPins(ctx, model, p.Pins)
			}
			if err != nil {
				*p = decisions.NewPillar(p.Name, decisions.PillarFailed, []string{err.Error()}, p.Pins...)
			}
		}
	}
	return found
}

// inspectionEnds takes what was found, and then the application, unless another one has come meanwhile.
func (c *court) inspectionEnds(ctx context.Context, x inspection) error {
	there := c.inspections[x.spec.Rollout]
	if there == nil || there.id != x.id {
		return nil
	}
	if x.failed != nil { // it comes again
		delete(c.inspections, x.spec.Rollout)
		return c.untakenYet(ctx, x.spec, fmt.Errorf("%w: read the window journal: %w", errUnasked, x.failed))
	}
	if x.asked {
		c.had[x.model] = max(c.had[x.model], x.had)
	}
	if x.had > 0 {
		c.log.Warn().Str("model", x.model).Str("rollout", x.spec.Rollout).Int64("epoch", x.had).
			Msg("the decision log knows nothing of this model, and the window journal has epochs of it up to this one: the next one is above them; was NATS emptied, made anew, or restored from an older backup?")
	}
	there.done, there.pillars = true, x.pillars
	return c.spec(ctx, x.spec)
}

// mayStart refuses an application at the door whose pillars failed, where something is under way that goes on. Else the refusal is a decision of its own:
// the journal has what was found, and everybody hears of it.
func (c *court) mayStart(found []decisions.Pillar, a *Application, r *schemas.Rollout, other *desk) error {
	d := c.desks[r.Name]
	why := decisions.FailedPillars(found)
	if why == "" || c.backOf(a, r).PastPillars() || (d == nil || finished(&d.head)) && other == nil {
		return nil
	}
	return errors.New(why)
}

// pins are what registered versions were when rollouts of a model started, by rollout.
func (c *court) pins(model string) []decisions.Pin {
	var all []decisions.Pin
	for _, name := range sortedDesks(c.desks) {
		if d := c.desks[name]; d.rollout.Model == model {
			all = append(all, decisions.PinsOf(&d.head.State)...)
		}
	}
	return all
}
