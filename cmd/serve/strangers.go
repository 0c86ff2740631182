package serve

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// strangers are what stands where only the service writes decisions, and no own key has signed: in a model's log, or as its route document. It is passed over; the first of each
// matter is told to people, and then one an hour at most, and all are counted. A matter is a place, and what has the form of a decision there is another one: garbage hides no forgery. It may be used by many goroutines. What it keeps is bounded by mostPlaces, and by the rollouts of which an older file came back.
type strangers struct {
	mu     sync.Mutex
	upTo   map[string]uint64      // what is counted, by place
	untold map[string]bus.Foreign // by matter
	told   map[string]telling     // by matter
	found  map[string]time.Time   // by model, when something was written last
	log    zerolog.Logger
	seen   *metrics
}

func newStrangers(log zerolog.Logger, seen *metrics) *strangers {
	return &strangers{upTo: map[string]uint64{}, untold: map[string]bus.Foreign{}, told: map[string]telling{}, found: map[string]time.Time{}, log: log, seen: seen}
}

// A telling is that people were told of one: of what model, and when.
type telling struct {
	model string
	at    time.Time
}

// strangerNews is how old something may be to be told: what was there before stays in the log for long, and is read again with every start.
const strangerNews = 24 * time.Hour

// strangersAgain is for how long more of it in a place is only counted. Who goes on is told again: that it stands since is another thing than that it was once.
const strangersAgain = time.Hour

// mostPlaces bounds the places of which something is kept: whoever writes there can make up models. What stands in others counts as of no model, in one place.
const mostPlaces = 1000

// hear takes note of one; the same may come again.
func (s *strangers) hear(f bus.Foreign) {
	if f.Gone {
		s.log.Error().Err(f.Why).Str("place", f.Place).Msg(goneAdvice(&f))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !f.Older && !s.counts(&f) { // an older file is of a rollout that is judged here, and serve tells of it once: no place is kept for each
		return
	}
	s.seen.foreign.WithLabelValues(f.Model).Inc()
	if f.At.After(s.found[f.Model]) {
		s.found[f.Model] = f.At
	}
	about := matter(&f)
	if told, is := s.told[about]; is && time.Since(told.at) < strangersAgain || time.Since(f.At) > strangerNews {
		return
	}
	s.told[about], s.untold[about] = telling{f.Model, time.Now()}, f
	if f.Gone {
		return
	}
	s.log.Error().Err(f.Why).Str("model", f.Model).Str("place", f.Place).Uint64("message", f.Sequence).
		Msg("somebody else writes where only serve writes: it is passed over, and more of its kind (garbage, or decisions) there is only counted for an hour (streamcanary_foreign_decisions_total); look who may publish there (the NATS permissions)")
}

// counts reports whether one isn't counted yet, and takes note of its place.
func (s *strangers) counts(f *bus.Foreign) bool {
	if _, known := s.upTo[f.Place]; !known && len(s.upTo) >= mostPlaces {
		f.Model, f.Place = "", schemas.StreamName
	}
	if f.Sequence <= s.upTo[f.Place] {
		return false
	}
	s.upTo[f.Place] = f.Sequence
	return true
}

// matter is what one is told of.
func matter(f *bus.Foreign) string {
	if f.Forged {
		return f.Place + ", decisions"
	}
	return f.Place
}

// mended says in the log that a route document is the right one again.
func (s *strangers) mended(model, decision string) {
	s.log.Warn().Str("model", model).Str("id", decision).Msg("this model's route document was missing, older than its decision log, or not serve's: its last effective decision is written back")
}

// next are those that people are to be told of, by matter.
func (s *strangers) next() map[string]bus.Foreign {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]bus.Foreign, len(s.untold))
	for about, f := range s.untold {
		all[about] = f
	}
	return all
}

// over forgets one that was told.
func (s *strangers) over(about string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.untold, about)
}

// farewell lets people know that a rollout was deleted which had ended, so that its incident is over.
func (c *court) farewell(ctx context.Context, d *desk, by schemas.Actor) {
	if d.head.State.Status == decisions.StatusDeleted {
		return // the decision has said so
	}
	gone := decisions.Deleted(&d.head.State, by)
	n := noticeOf(d, gone.Kind)
	n.Severity, n.Waiting, n.Actor, n.Sentence = gone.Severity, gone.Waiting, gone.Actor, gone.Sentence
	if !finished(&d.head) || d.isOlder() {
		n.Severity, n.Sentence = schemas.Warning, d.givenUpText(by)
	}
	n.ID = fmt.Sprintf("%s.%d.deleted", n.Rollout, n.Epoch)
	c.log.WithLevel(levelOf(n.Severity)).Str("model", n.Model).Str("rollout", n.Rollout).Str("event", string(n.Kind)).Msg(n.Sentence)
	d.lostTold, d.parted = true, true // its record goes, and nobody is to miss it
	c.farewells = append(c.farewells, n)
	c.farewells = c.farewells[max(0, len(c.farewells)-goneMost):]
	c.warn(ctx)
}

// warn tells people of what endangers decisions: rollouts for which this process no longer decides, and what somebody else wrote into the decision log; and of rollouts that are
// deleted. What can't be told now is told with the next call.
func (c *court) warn(ctx context.Context) {
	for _, name := range sortedDesks(c.desks) {
		if d := c.desks[name]; d.isLost() && !d.lostTold && c.alarms(name) {
			d.lostTold = c.notify(ctx, lostNotice(d))
		}
	}
	c.warnForgotten(ctx)
	c.farewells = slices.DeleteFunc(c.farewells, func(n *schemas.Notice) bool { return c.notify(ctx, n) })
	if c.strangers == nil {
		return
	}
	found := c.strangers.next()
	for _, about := range slices.Sorted(maps.Keys(found)) {
		f := found[about]
		if d := c.deskOf(f.Model); d != nil && c.notify(ctx, foreignNotice(d, &f, c.trustFile)) {
			c.strangers.over(about)
			c.trespasses.since[d.rollout.Name] = time.Now()
		}
	}
	c.trespassed(ctx, time.Now())
	c.found(ctx, time.Now())
}

// judged are the models that have a desk, in the order of their rollouts.
func (c *court) judged() []string {
	var models []string
	for _, name := range sortedDesks(c.desks) {
		models = append(models, c.desks[name].rollout.Model)
	}
	return models
}

// deskOf is the first desk of a model, of one that hasn't ended where there is one; nil: it has none.
func (c *court) deskOf(model string) *desk {
	var first *desk
	for _, name := range sortedDesks(c.desks) {
		if d := c.desks[name]; d.rollout.Model == model && (first == nil || first.head.State.Status.Ended() && !d.head.State.Status.Ended()) {
			first = d
		}
	}
	return first
}

// notify publishes a notice that follows from nothing in the journal, and counts it once it is there. It reports whether that went well. A dry run's is no copy of that of a run before or after it, which people are to hear.
func (c *court) notify(ctx context.Context, n *schemas.Notice) bool {
	n.Severity, n.At = cmp.Or(n.Severity, schemas.Critical), schemas.Time(time.Now().UnixMilli())
	n.Sentence = strings.ToValidUTF8(n.Sentence[:min(len(n.Sentence), decisions.MaxSentence)], "")
	body, err := schemas.EncodeNotice(n)
	if err == nil {
		id := n.ID
		if c.dry {
			id += ".dry"
		}
		err = c.bus.PublishNotice(ctx, decisions.Delivery{Do: decisions.DoNotify, Model: n.Model, ID: id, Notice: n.Kind, Body: body})
	}
	if err == nil {
		c.seen.noticed(n)
	}
	if err != nil && ctx.Err() == nil && c.untold.due(err) {
		c.log.Warn().Err(err).Str("rollout", n.Rollout).Str("event", string(n.Kind)).Msg("an event is not published: trying again; look at NATS (its connection, permissions)")
	}
	return err == nil
}

// noticeOf begins a notice about a rollout.
func noticeOf(d *desk, kind schemas.NoticeKind) *schemas.Notice {
	return &schemas.Notice{Kind: kind, Model: d.rollout.Model, Rollout: d.rollout.Name, Epoch: d.head.State.Epoch}
}

func foreignNotice(d *desk, f *bus.Foreign, trustFile string) *schemas.Notice {
	n := noticeOf(d, schemas.NoticeForeignDecision)
	n.ID = fmt.Sprintf("%s.%d.foreign.%d", n.Rollout, n.Epoch, f.Sequence)
	if f.Gone {
		n.ID = fmt.Sprintf("%s.%d.foreign-gone.%d", n.Rollout, n.Epoch, f.Sequence)
		if f.Older {
			n.ID = fmt.Sprintf("%s.%d.foreign-older.%d", n.Rollout, n.Epoch, f.Sequence)
		}
		n.Sentence = strings.ToUpper(f.Place[:1]) + f.Place[1:] + ": " + f.Why.Error() + "; " + goneAdvice(f) + "."
		return n
	}
	if f.Route {
		n.ID = fmt.Sprintf("%s.%d.foreign-route.%d", n.Rollout, n.Epoch, f.Sequence)
		if f.Again {
			n.Sentence = fmt.Sprintf("Somebody else writes where only serve asks again for decisions of model %s (%s, revision %d). Subscribers that trust serve's key alone pass it over, and no traffic moves by it: "+
				"look who may publish to $KV.%s.> (the NATS permissions). If another serve runs, give both the same nats.signingKey. It is: %v", f.Model, f.Place, f.Sequence, schemas.RoutesBucket, f.Why)
			return n
		}
		n.Sentence = fmt.Sprintf("Somebody else writes the route document of model %s, which only serve writes (%s, revision %d). Subscribers that trust serve's key alone pass it over, "+
			"and serve writes the right one back, at most every %s: look who may publish to $KV.%s.> (the NATS permissions). If another serve runs, give both the same nats.signingKey. It is: %v",
			f.Model, f.Place, f.Sequence, bus.RouteMendEvery, schemas.RoutesBucket, f.Why)
		return n
	}
	n.Sentence = fmt.Sprintf("Somebody else writes where only serve writes decisions: message %d of %s is none of this service's. It is passed over, and so is more of it: look who may publish there (the NATS permissions). "+
		"If another serve runs, give both the same nats.signingKey; if the key was changed, add the line of the one before to %s and restart serve. It is: %v", f.Sequence, f.Place, trustFile, f.Why)
	return n
}
