package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"streamcanary/cmd/embed"
	"streamcanary/cmd/serve"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// rewrite DATA OLD NEW [NAME] copies the decision log to a NATS of its own, FORGED, and replaces a text in the last decision, signed again: what somebody can do who has the key and the
// disk. With a NAME, it is that NATS, and the signature stays: what somebody can do who has the disk alone.
func rewrite(ts *testscript.TestScript, _ bool, args []string) {
	key, err := schemas.ParseSigningKey([]byte(ts.ReadFile(args[0] + "/keys/signing.pem")))
	ts.Check(err)
	name := "FORGED"
	if len(args) > 3 {
		name = args[3]
	}
	copyLog(ts, name, func(log []bus.Logged) []bus.Logged {
		last := &log[len(log)-1]
		changed := strings.ReplaceAll(string(last.Signed.Body), args[1], args[2])
		if changed == string(last.Signed.Body) {
			ts.Fatalf("the last decision has no %q", args[1])
		}
		last.Signed.Body = []byte(changed)
		if name == "FORGED" {
			last.Signed = key.Sign(last.Signed.Body)
		}
		return log
	})
}

// copyLog copies the decision log, changed, to a NATS of its own, whose address is then in the variable name.
func copyLog(ts *testscript.TestScript, name string, change func([]bus.Logged) []bus.Logged) {
	servers, err := embed.Start(embed.Options{Dir: ts.MkAbs(strings.ToLower(name)), NATS: true})
	ts.Check(err)
	ts.Defer(func() { _ = servers.Close() })
	ts.Setenv(name, servers.NATSURL())
	ctx := context.Background()
	from, err := bus.Connect(ctx, bus.Options{URLs: []string{ts.Getenv("NATS")}})
	ts.Check(err)
	defer from.Close()
	to, err := bus.Connect(ctx, bus.Options{URLs: []string{servers.NATSURL()}})
	ts.Check(err)
	defer to.Close()
	ts.Check(to.Ensure(ctx))
	var log []bus.Logged
	ts.Check(from.Log(ctx, bus.LogQuery{}, func(l bus.Logged) error {
		log = append(log, l)
		return nil
	}))
	log = change(log)
	conn, err := nats.Connect(servers.NATSURL())
	ts.Check(err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	ts.Check(err)
	for _, l := range log {
		publishes(ctx, ts, js, &l)
	}
}

// publishes publishes a decision as it was signed, without the id by which the stream would know it.
func publishes(ctx context.Context, ts *testscript.TestScript, js jetstream.JetStream, l *bus.Logged) {
	subject, err := schemas.DecisionSubject(l.Model)
	ts.Check(err)
	m := &nats.Msg{Subject: subject, Data: l.Signed.Body, Header: nats.Header{}}
	m.Header.Set(schemas.HeaderKeyID, l.Signed.KeyID)
	m.Header.Set(schemas.HeaderSignature, schemas.EncodeSignature(l.Signed.Signature))
	_, err = js.PublishMsg(ctx, m)
	ts.Check(err)
}

// stranger OLD NEW publishes garbage on the subject of the model's decisions, and a copy of its last decision with a text replaced and no signature: what somebody can do who may publish
// there.
func stranger(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	conn, err := nats.Connect(ts.Getenv("NATS"))
	ts.Check(err)
	defer conn.Close()
	b, err := bus.Connect(ctx, bus.Options{Conn: conn})
	ts.Check(err)
	last, err := b.LastDecision(ctx, "ranker")
	ts.Check(err)
	js, err := jetstream.New(conn)
	ts.Check(err)
	subject, err := schemas.DecisionSubject("ranker")
	ts.Check(err)
	for _, body := range []string{"hello", strings.ReplaceAll(string(last.Signed.Body), args[0], args[1])} {
		_, err = js.Publish(ctx, subject, []byte(body))
		ts.Check(err)
	}
}

// unlogged deletes the decision log.
func unlogged(ts *testscript.TestScript, _ bool, _ []string) {
	conn, err := nats.Connect(ts.Getenv("NATS"))
	ts.Check(err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	ts.Check(err)
	ts.Check(js.DeleteStream(context.Background(), schemas.StreamName))
}

// copied ID publishes a decision of the log once more, with its signature: what somebody can do who may read and publish there.
func copied(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	conn, err := nats.Connect(ts.Getenv("NATS"))
	ts.Check(err)
	defer conn.Close()
	b, err := bus.Connect(ctx, bus.Options{Conn: conn})
	ts.Check(err)
	l, err := b.Decision(ctx, args[0])
	ts.Check(err)
	js, err := jetstream.New(conn)
	ts.Check(err)
	publishes(ctx, ts, js, &l)
}

// looked FILE adds the foreign messages that the last output tells of to a file for --known.
func looked(ts *testscript.TestScript, _ bool, args []string) {
	var known strings.Builder
	if had, err := os.ReadFile(ts.MkAbs(args[0])); err == nil {
		known.Write(had)
	}
	for text := range strings.Lines(ts.ReadFile("stdout")) {
		var f aFinding
		if json.Unmarshal([]byte(text), &f) == nil && f.Sha256 != "" && !f.Known {
			fmt.Fprintf(&known, "%d %s a test of ours # by hand\n", f.Message, f.Sha256)
		} else if _, line, is := strings.Cut(text, "for --known, once it is looked into: "); is {
			fmt.Fprintf(&known, "%s\n", strings.TrimSpace(line))
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(known.String()), 0o600))
}

// replace FILE gives the first of a file's known messages another hash.
func replace(ts *testscript.TestScript, _ bool, args []string) {
	words := strings.Fields(ts.ReadFile(args[0]))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(ts.ReadFile(args[0]), words[1], strings.Repeat("0", 64), 1)), 0o600))
}

// expire deletes all records that the window journal has, as its retention does.
func expire(ts *testscript.TestScript, _ bool, _ []string) {
	client, err := kgo.NewClient(kgo.SeedBrokers(ts.Getenv("KAFKA")))
	ts.Check(err)
	defer client.Close()
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(context.Background(), serve.JournalTopic)
	ts.Check(err)
	_, err = admin.DeleteRecords(context.Background(), ends.Offsets())
	ts.Check(err)
}

// later ID copies the decision log from a decision on to a NATS of its own, LATER: what stands there once the rest was removed.
func later(ts *testscript.TestScript, _ bool, args []string) {
	copyLog(ts, "LATER", func(log []bus.Logged) []bus.Logged {
		return log[slices.IndexFunc(log, func(l bus.Logged) bool { return l.Decision.ID == args[0] }):]
	})
}

// TestBeginningOfALog: a log that doesn't have its beginning says so, and it is wrong where nothing stood before it when it was begun.
func TestBeginningOfALog(t *testing.T) {
	key, err := schemas.NewSigningKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	before := &schemas.Prev{ID: "r.2.7", Sha256: strings.Repeat("a", 64)}
	for name, test := range map[string]struct {
		epoch, seq int64
		prev       *schemas.Prev
		want       string
		wrong      int
	}{
		"whole":           {1, 1, nil, "", 0},
		"made anew":       {3, 1, nil, "message 9, decision r.3.1: ITS BEGINNING IS MISSING: the log of model m begins here, in epoch 3, and this decision names none before it: ", 1},
		"no first number": {1, 2, nil, "message 9, decision r.1.2: ITS BEGINNING IS MISSING: ", 1},
		"retention":       {3, 1, before, "message 9, decision r.3.1: begins here: the log of model m begins here; decision r.2.7, which this one follows, is not in it any more. ", 0},
	} {
		var out strings.Builder
		x := &links{c: &console{out: &out}, keys: schemas.NewTrust(key.Public()), known: &acknowledged{}, last: map[string]*bus.Logged{}, signed: map[string]string{}}
		d := &schemas.Decision{ID: fmt.Sprintf("r.%d.%d", test.epoch, test.seq), Model: "m", Rollout: "r", Epoch: test.epoch, Seq: test.seq, Prev: test.prev}
		err := x.take(&bus.Logged{Model: "m", Sequence: 9, Decision: d, Signed: key.Sign([]byte(d.ID))})
		if err != nil || !strings.HasPrefix(out.String(), test.want) || (out.Len() == 0) != (test.want == "") || x.wrong != test.wrong {
			t.Errorf("%s: %d wrong, error %v, told %s", name, x.wrong, err, out.String())
		}
	}
}

func TestDifferences(t *testing.T) {
	for name, test := range map[string]struct{ published, computed, want string }{
		"the same":       {`{"a":1}`, `{"a":1}`, ""},
		"a number":       {`{"a":{"b":[1,1.50]}}`, `{"a":{"b":[1,1.5]}}`, ".a.b[1] 1.50 1.5"},
		"a great number": {`{"a":9007199254740993}`, `{"a":9007199254740992}`, ".a 9007199254740993 9007199254740992"},
		"one-sided":      {`{"a":1,"b":"x<"}`, `{"a":1,"c":null}`, `.b "x<" -, .c - null`},
		"a longer list":  {`{"a":[1,2,3]}`, `{"a":[1]}`, ".a[1] 2 -, .a[2] 3 -"},
		"a shorter list": {`{"a":[1]}`, `{"a":[2,3]}`, ".a[0] 1 2, .a[1] - 3"},
		"other kinds":    {`{"a":[1],"b":{}}`, `{"a":{"0":1},"b":[]}`, `.a [1] {"0":1}, .b {} []`},
		"other bytes":    {`{"a":1, "b":2}`, `{"a":1,"b":2}`, ` "{\"a\":1, \"b\":2}" "{\"a\":1,\"b\":2}"`},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := differences([]byte(test.published), []byte(test.computed))
			if err != nil {
				t.Fatal(err)
			}
			var words []string
			for _, d := range all {
				words = append(words, fmt.Sprintf("%s %s %s", d.Path, shownJSON(d.Published), shownJSON(d.Computed)))
			}
			if have := strings.Join(words, ", "); have != test.want {
				t.Errorf("differences %s\nwant %s", have, test.want)
			}
		})
	}
	if _, err := differences([]byte("{"), []byte("{}")); err == nil || !strings.Contains(err.Error(), "the published body") {
		t.Errorf("error %v of a body that is no JSON", err)
	}
}

// TestFindingOfAnotherVersion: where another version began the epoch, a difference is told to be perhaps its own; and much is cut short.
func TestFindingOfAnotherVersion(t *testing.T) {
	f := aFinding{Kind: serve.FindingDiffers, Decision: "r.1.2", Why: "other bytes", BegunBy: "streamcanary 1", Program: "streamcanary 2"}
	for range maxPlaces + 5 {
		f.Differences = append(f.Differences, difference{Path: ".a", Published: []byte(strings.Repeat("1", maxText+1)), Computed: []byte("2")})
	}
	var out strings.Builder
	if err := writeFinding(&out, &f); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"decision r.1.2: DIFFERS: other bytes\n", "111… (301 bytes)\n", "    and 5 more places\n", `begun by "streamcanary 1", and this is "streamcanary 2"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
