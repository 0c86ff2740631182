package serve

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/ingest"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// decisionLog is the log as Recompute wants it.
func (v *village) decisionLog() []Published {
	v.Helper()
	var all []Published
	v.must(v.bus.Log(v.Context(), bus.LogQuery{}, func(l bus.Logged) error {
		all = append(all, PublishedOf(l.Decision, l.Signed.Body, l.At))
		return nil
	}))
	return all
}

// recompute computes a log again from a journal.
func (v *village) recompute(journal *Journal, log []Published) (findings []Finding, counts Recomputed) {
	v.Helper()
	counts, err := Recompute(v.Context(), journal, log, func(f Finding) error {
		findings = append(findings, f)
		return nil
	})
	v.must(err)
	return findings, counts
}

// honest computes every decision of a story again: each comes out the same, to the byte.
func (v *village) honest() {
	v.Helper()
	log := v.decisionLog()
	findings, counts := v.recompute(journalOf(v.kafka), log)
	for _, f := range findings {
		v.Errorf("%s %s: %s\n%s", f.Kind, f.ID, f.Why, f.Computed)
	}
	if counts.Same != len(log) || counts.Same < 2 || counts.Gone > 0 || counts.People < 1 || counts.People == counts.Same {
		v.Errorf("%+v of %d decisions", counts, len(log))
	}
}

// published is the stage's log as Recompute wants it.
func (s *stage) published(t *testing.T) []Published {
	t.Helper()
	var log []Published
	err := s.bus.Log(t.Context(), bus.LogQuery{}, func(l bus.Logged) error {
		log = append(log, PublishedOf(l.Decision, l.Signed.Body, l.At))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// recomputed computes every decision of the stage's log again.
func (s *stage) recomputed(t *testing.T) {
	t.Helper()
	log := s.published(t)
	counts, err := Recompute(t.Context(), journalOf(s.client), log, func(f Finding) error {
		t.Errorf("%s %s: %s\n%s", f.Kind, f.ID, f.Why, f.Computed)
		return nil
	})
	if err != nil || counts.Same != len(log) || counts.Same < 2 {
		t.Errorf("%+v of %d decisions (%v)", counts, len(log), err)
	}
}

// copied is the village's journal in another Kafka, changed on the way: nil drops a record.
func (v *village) copied(change func(kafka.Entry) *kafka.Entry) *Journal {
	v.Helper()
	cluster, err := kfake.NewCluster(kfake.ListenFn(v.network.Listen), kfake.Ports(9093+len(v.stops)), kfake.NumBrokers(1))
	v.must(err)
	client, err := kafka.Connect(v.Context(), kafka.Connection{Brokers: cluster.ListenAddrs(), Dial: v.network.DialContext})
	v.must(err)
	v.stops = append(v.stops, cluster.Close, client.Close)
	v.must(client.EnsureTopic(v.Context(), JournalTopic, journalPartitions, nil))
	here, there := journalOf(v.kafka), client.Log(JournalTopic, 0)
	begins, _, err := here.reach(v.Context())
	v.must(err)
	reader, err := here.log.ReadFrom(v.Context(), begins)
	v.must(err)
	defer reader.Close()
	v.must(reader.Drain(v.Context(), func(e kafka.Entry) error {
		if changed := change(e); changed != nil {
			_, err := there.Append(v.Context(), *changed)
			return err
		}
		return nil
	}))
	return journalOf(client)
}

// keep changes nothing.
func keep(e kafka.Entry) *kafka.Entry { return &e }

// changedParts changes what the journal says of the canary.
func changedParts(change func(*windows.Part)) func(kafka.Entry) *kafka.Entry {
	return func(e kafka.Entry) *kafka.Entry {
		if header(&e, kindHeader) != partRecord {
			return &e
		}
		key, part, err := windows.DecodePart(e.Value)
		if err != nil || part.IsMark() {
			return &e
		}
		change(part)
		if e.Value, err = windows.EncodePart(key, part); err != nil {
			panic(err)
		}
		return &e
	}
}

// onePart changes the first record in which the canary answers.
func onePart(change func(kafka.Entry) *kafka.Entry) func(kafka.Entry) *kafka.Entry {
	done := false
	return func(e kafka.Entry) *kafka.Entry {
		if done || header(&e, kindHeader) != partRecord {
			return &e
		}
		_, part, err := windows.DecodePart(e.Value)
		if err != nil || part.IsMark() || part.Kind != windows.Serving || part.Cells[windows.Canary][0].N == 0 {
			return &e
		}
		done = true
		return change(e)
	}
}

// changedInputs changes what the journal says that came from outside.
func changedInputs(change func(*decisions.Input)) func(kafka.Entry) *kafka.Entry {
	return func(e kafka.Entry) *kafka.Entry {
		if header(&e, kindHeader) != inputRecord {
			return &e
		}
		in, err := decisions.DecodeInput(e.Value)
		if err == nil {
			change(&in)
			e.Value, err = decisions.EncodeInput(in)
		}
		if err != nil {
			panic(err)
		}
		return &e
	}
}

// told are findings in words.
func told(findings []Finding) string {
	var words []string
	for _, f := range findings {
		words = append(words, strings.TrimSpace(string(f.Kind)+" "+f.ID))
	}
	return strings.Join(words, ", ")
}

// A change of the journal, and what is found then.
type journalChange struct {
	change func(kafka.Entry) *kafka.Entry
	want   string
	why    string // also; "": anything
}

func changedJournals() map[string]journalChange {
	once := true
	return map[string]journalChange{
		"a copy": {change: keep},
		"no error of the canary": {changedParts(func(p *windows.Part) {
			p.Cells[windows.Canary][0].K = 0
		}), "differs story.1.3", ""}, // without errors it is the canary's silence, after the real rollback, that rolls it back
		"nothing but errors of the canary": {changedParts(func(p *windows.Part) {
			p.Cells[windows.Canary][0].K = p.Cells[windows.Canary][0].N
		}), "differs story.1.3", ""},
		"one error less": {changedParts(func(p *windows.Part) {
			if c := &p.Cells[windows.Canary][0]; once && c.K > 0 {
				c.K--
				once = false
			}
		}), "differs story.1.3", ""},
		"a part less": {onePart(func(kafka.Entry) *kafka.Entry { return nil }), "unfounded story.1.3", "parts of it are missing, and none after them could be taken: serving of predictions/"},
		"a part damaged": {onePart(func(e kafka.Entry) *kafka.Entry {
			e.Value = slices.Clone(e.Value)
			e.Value[len(e.Value)/2] ^= 1
			return &e
		}), "unfounded story.1.3", "it has records that can't be read, and that were passed over: 1, the first at offset "},
		"another time of the ack": {changedInputs(func(in *decisions.Input) {
			if in.Ack != nil && in.Ack.Status == schemas.AckPrepared {
				in.WallMs--
			}
		}), "differs story.1.2", ""},
		"no ack": {func(e kafka.Entry) *kafka.Entry {
			if in, err := decisions.DecodeInput(e.Value); err == nil && in.Ack != nil {
				return nil
			}
			return &e
		}, "unfounded story.1.2, unfounded story.1.3", ""},
		"another start": {changedInputs(func(in *decisions.Input) {
			if in.Applied != nil {
				in.Applied.Actor.Name = "eve"
			}
		}), "differs story.1.1", ""},
		"another file": {func(e kafka.Entry) *kafka.Entry {
			for i := range e.Headers {
				if e.Headers[i].Key == startHeader {
					e.Headers[i].Value = []byte(strings.Replace(string(e.Headers[i].Value), "phi: 1", "phi: 2", 1))
				}
			}
			return &e
		}, "unfounded", ""},
		"an older version's start": {func(e kafka.Entry) *kafka.Entry {
			e.Headers = slices.DeleteFunc(slices.Clone(e.Headers), func(h ingest.Header) bool { return h.Key == startHeader })
			return &e
		}, "gone", ""},
		"nothing": {func(kafka.Entry) *kafka.Entry { return nil }, "unfounded", ""},
	}
}

// A change of the log, and what is found then.
type logChange struct {
	change func([]Published) []Published
	want   string
}

func changedLogs() map[string]logChange {
	return map[string]logChange{
		"another body": {func(l []Published) []Published { l[1].Sha256 = l[0].Sha256; return l }, "differs story.1.2, differs story.1.3"}, // which names the body that was
		"one more": {func(l []Published) []Published {
			more := l[2]
			more.ID, more.Seq = "story.1.4", 4
			return append(l, more)
		}, "unfounded story.1.4"},
		"one less":         {func(l []Published) []Published { return l[:2] }, "unpublished story.1.3"},
		"one twice":        {func(l []Published) []Published { return append(l, l[1]) }, "unfounded story.1.2"},
		"issued too late":  {func(l []Published) []Published { l[2].StoredAt -= 120_000; return l }, "clock story.1.3"},
		"another time":     {func(l []Published) []Published { l[2].IssuedAt += 120_000; return l }, "differs story.1.3"},
		"of another epoch": {func(l []Published) []Published { l[2].Epoch = 2; return l }, "unpublished story.1.3, unfounded story.1.3"},
		"nothing":          {func([]Published) []Published { return nil }, "unpublished"},
		"another rollout":  {func(l []Published) []Published { l[0].Rollout, l[0].ID = "other", "other.1.1"; return l[:1] }, "unfounded other.1.1"}, // an epoch is one rollout's
		"another model": {func(l []Published) []Published {
			l[0].Model, l[0].Rollout, l[0].ID = "other", "other", "other.1.1"
			return l[:1]
		}, "unpublished, unfounded other.1.1"},
		"of another record": {func(l []Published) []Published { l[0].Inputs[0].From++; return l }, "unfounded story.1.1, unfounded story.1.2, unfounded story.1.3"},
	}
}

// TestRecompute: a log of a rollback is what its journal leads to; and whatever is changed in the one or the other is found.
func TestRecompute(t *testing.T) {
	inVillage(t, storyHead+atOnce, "", func(v *village) {
		v.harms()
		v.completed()
		log := v.decisionLog()
		if last := log[len(log)-1]; last.ID != "story.1.3" {
			v.Fatalf("the log ends with %s", last.ID)
		}
		for name, test := range changedJournals() {
			if findings, _ := v.recompute(v.copied(test.change), log); told(findings) != test.want || test.why != "" && !strings.Contains(findings[0].Why, test.why) {
				v.Errorf("%s: found %q, want %q %s\n%+v", name, told(findings), test.want, test.why, findings)
			}
		}
		for name, test := range changedLogs() {
			l := slices.Clone(log)
			for i := range l {
				l[i].Inputs = slices.Clone(l[i].Inputs)
			}
			if findings, _ := v.recompute(journalOf(v.kafka), test.change(l)); told(findings) != test.want {
				v.Errorf("%s: found %q, want %q", name, told(findings), test.want)
			}
		}
	})
}

// TestRecomputeAfterRetention: an epoch whose beginning was deleted from the journal is told to be so, and others are computed.
func TestRecomputeAfterRetention(t *testing.T) {
	inVillage(t, storyHead+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.apply("story", storyHead+atOnce, func(a *Application) { a.Retry = true })
		v.until("the second epoch", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
		log := v.decisionLog()
		at := log[len(log)-1].Inputs[0]
		v.must(v.cluster.DeleteRecords(JournalTopic, at.Partition, at.From))
		findings, counts := v.recompute(journalOf(v.kafka), log)
		if told(findings) != "gone" || findings[0].Epoch != 1 || !strings.Contains(findings[0].Why, "retention") || counts.Same != 2 || counts.Gone != len(log)-2 {
			v.Errorf("found %+v, counts %+v", findings, counts)
		}
	})
}

// TestRecomputeOfSilentEpochs: an epoch that begins in the journal, and of which the log has nothing, is told, whether it was the first or the last.
func TestRecomputeOfSilentEpochs(t *testing.T) {
	inVillage(t, storyHead+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.apply("story", storyHead+atOnce, func(a *Application) { a.Retry = true })
		v.until("the second epoch", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
		log := v.decisionLog()
		for epoch := int64(1); epoch <= 2; epoch++ {
			rest := slices.DeleteFunc(slices.Clone(log), func(p Published) bool { return p.Epoch == epoch })
			findings, counts := v.recompute(journalOf(v.kafka), rest)
			if told(findings) != "unpublished" || findings[0].Epoch != epoch || findings[0].Rollout != "story" || findings[0].Model == "" || counts.Same != len(rest) {
				v.Errorf("without epoch %d: found %+v, counts %+v", epoch, findings, counts)
			}
		}
	})
}

// TestRecomputeOfAnEpochThatBeganTwice: an epoch that has its number a second time in the journal, as where NATS had forgotten a model and an older serve didn't look, is told, and computed.
func TestRecomputeOfAnEpochThatBeganTwice(t *testing.T) {
	inVillage(t, storyHead+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(time.Second)
		v.stopService()
		var before []kafka.Entry // what the new service must not find, in whose place others stand meanwhile
		v.copied(func(e kafka.Entry) *kafka.Entry { before = append(before, e); return nil })
		for _, stream := range []string{schemas.StreamName, "KV_" + schemas.RolloutsBucket, "KV_" + schemas.RoutesBucket} {
			v.must(v.js().DeleteStream(v.Context(), stream))
		}
		v.must(v.cluster.DeleteTopic(JournalTopic))
		v.must(v.kafka.EnsureTopic(v.Context(), JournalTopic, oneJournal.journal, nil))
		for range before {
			_, err := v.kafka.Log(JournalTopic, 0).Append(v.Context(), kafka.Entry{Key: []byte("ranker")})
			v.must(err)
		}
		v.stopService = v.service()
		v.wait(time.Second)
		v.apply("story", storyHead+atOnce)
		v.until("it begins", func(s *decisions.State) bool { return s.Epoch == 1 })
		v.wait(time.Second)
		log := v.decisionLog()
		findings, counts := v.recompute(v.copied(func(e kafka.Entry) *kafka.Entry {
			if e.Offset < int64(len(before)) {
				return &before[e.Offset]
			}
			return &e
		}), log)
		if len(before) == 0 || told(findings) != "twice" || findings[0].Rollout != "story" || findings[0].Epoch != 1 || counts.Same != len(log) {
			v.Errorf("of %d decisions: found %+v, counts %+v", len(log), findings, counts)
		}
	})
}

// TestRecomputeOfAnOlderJournal: decisions of before a window journal was made anew are told to be older than that, whether it is shorter or longer by now than the one before; what came since is computed, and what is not
// so old is told as ever.
func TestRecomputeOfAnOlderJournal(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(2*time.Minute + 130*time.Millisecond)
		old := len(v.decisionLog())
		v.stopService()
		v.must(v.cluster.DeleteTopic(JournalTopic))
		v.wait(time.Second)
		v.stopService = v.service()
		v.wait(5*time.Second + 130*time.Millisecond)
		v.ask("retry", true)
		runs := func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning }
		v.until("it runs again", runs)
		v.wait(time.Second)
		log := v.decisionLog()
		olderThan := func(when string, log []Published) {
			t.Helper()
			findings, counts := v.recompute(journalOf(v.kafka), log)
			if told(findings) != "before_journal" || findings[0].Epoch != 1 || !strings.Contains(findings[0].Why, "doesn't reach back that far: the oldest record in partition 0 of streamcanary.windows is of 2000-01-01T00:02:") ||
				counts.Gone != old || counts.Same != len(log)-old {
				t.Errorf("%s: found %+v, counts %+v of %d, %d of them old", when, findings, counts, len(log), old)
			}
		}
		olderThan("longer", log)
		stored := make([]schemas.Time, old)
		closely := func(when string) { // and it is older by no more than clocks differ
			for i := range stored {
				stored[i], log[i].StoredAt = log[i].StoredAt, log[old].StoredAt-20_000
			}
			olderThan(when+", closely", log)
			if findings, _ := v.recompute(journalOf(v.kafka), log); !strings.HasSuffix(findings[0].Why, "look whether the topic was made anew just then") {
				t.Errorf("%s: %s", when, findings[0].Why)
			}
			for i := range stored {
				log[i].StoredAt = stored[i]
			}
		}
		closely("longer")
		for i := range log[:old] {
			log[i].Inputs[0].From += 1_000_000
		}
		olderThan("shorter", log)
		closely("shorter")
		for i := range log[:old] {
			log[i].StoredAt = log[old].StoredAt
		}
		if findings, _ := v.recompute(journalOf(v.kafka), log); told(findings) != "unfounded" {
			t.Errorf("of the time of the new journal: %+v", findings)
		}
	})
}

// TestRecomputeOfAnEmptyPartition: decisions that began in a partition in which a journal has nothing are older than that where all that it ever had was written since; else they are unfounded.
func TestRecomputeOfAnEmptyPartition(t *testing.T) {
	const storedAt, later = 1_000_000, 1_000_000 + 120_000
	for _, row := range []struct {
		name   string
		oldest []kafka.Entry // of the other partitions
		ends   map[int32]int64
		want   FindingKind
	}{
		{"all is later", []kafka.Entry{{Partition: 0, TimeMs: later}, {Partition: 2, TimeMs: later + 1}}, map[int32]int64{0: 5, 1: 0, 2: 5}, FindingBefore},
		{"one is of that time", []kafka.Entry{{Partition: 0, TimeMs: later}, {Partition: 2, TimeMs: storedAt}}, map[int32]int64{0: 5, 1: 0, 2: 5}, FindingUnfounded},
		{"later by what clocks differ", []kafka.Entry{{Partition: 0, TimeMs: storedAt + 30_000}}, map[int32]int64{0: 5, 1: 0}, FindingBefore},
		{"retention deleted what came before", []kafka.Entry{{Partition: 0, Offset: 3, TimeMs: later}}, map[int32]int64{0: 5, 1: 0}, FindingUnfounded},
		{"retention deleted all of another one", []kafka.Entry{{Partition: 0, TimeMs: later}}, map[int32]int64{0: 5, 1: 0, 2: 7}, FindingUnfounded},
		{"it had something", []kafka.Entry{{Partition: 0, TimeMs: later}}, map[int32]int64{0: 5, 1: 2}, FindingUnfounded},
		{"nothing at all", nil, map[int32]int64{0: 0, 1: 0}, FindingUnfounded},
	} {
		var have []Finding
		a := newAudit(func(f Finding) error { have = append(have, f); return nil })
		if err := a.expect(&Published{ID: "r.1.1", Rollout: "r", Model: "m", Epoch: 1, StoredAt: storedAt, Inputs: []schemas.Input{{Topic: JournalTopic, Partition: 1, From: 9, To: 9}}}); err != nil {
			t.Fatal(err)
		}
		for i := range row.oldest {
			if err := a.before(&row.oldest[i]); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.beyond(row.ends); err != nil {
			t.Fatal(err)
		}
		if len(have) != 1 || have[0].Kind != row.want {
			t.Errorf("%s: found %+v, want %s", row.name, have, row.want)
		}
	}
}
