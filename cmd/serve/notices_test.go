package serve

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// noticeKinds are all kinds of notices, as schemas has them.
func noticeKinds(t *testing.T) []schemas.NoticeKind {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "schemas", "notice.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []schemas.NoticeKind
	ast.Inspect(tree, func(n ast.Node) bool {
		spec, is := n.(*ast.ValueSpec)
		if !is || spec.Type == nil {
			return true
		}
		if name, is := spec.Type.(*ast.Ident); is && name.Name == "NoticeKind" {
			kind, unquoted := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			all, err = append(all, schemas.NoticeKind(kind)), errors.Join(err, unquoted)
		}
		return true
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("%d kinds of notices (%v)", len(all), err)
	}
	return all
}

// TestEveryNoticeIsCounted: whatever people are told, by the state machine (tell) or beside it (notify), has its label in streamcanary_notices_total; what is not published is not counted.
func TestEveryNoticeIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newChamber(t, t.TempDir())
		h.decide(t)
		d := h.court.desks["story"]
		kinds := noticeKinds(t)
		for i, kind := range kinds {
			n := noticeOf(d, kind)
			n.ID, n.Sentence = fmt.Sprintf("story.1.test.%d", i), "It was so."
			if kind == schemas.NoticeRollbackCompleted {
				n.Outcome, n.Times = schemas.OutcomeDone, &schemas.RollbackTimes{}
			}
			if !h.court.notify(t.Context(), n) {
				t.Errorf("%s is not published", kind)
			}
			h.court.tell([]decisions.Effect{{Notice: n}})
		}
		if h.court.notify(t.Context(), &schemas.Notice{Kind: kinds[0]}) {
			t.Error("a notice of nothing is published")
		}
		page := httptest.NewRecorder()
		promhttp.HandlerFor(h.court.seen.registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
		for _, kind := range kinds {
			if want := fmt.Sprintf("streamcanary_notices_total{kind=%q,model=\"ranker\",rollout=\"story\"} 2\n", kind); !strings.Contains(page.Body.String(), want) {
				t.Errorf("/metrics lacks %s", want)
			}
		}
	})
}

// TestSeveritiesBeside: what people are told beside the state machine is critical where nobody may be deciding, or somebody else is; its end is info, and a person who is denied something a warning.
func TestSeveritiesBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newChamber(t, t.TempDir())
		h.decide(t)
		d := h.court.desks["story"]
		d.lost = errors.New("another serve decides")
		for _, n := range []*schemas.Notice{lostNotice(d), h.court.foundNotice(d, time.Now()), foreignNotice(d, &bus.Foreign{Model: "ranker", Place: "a place", Why: errors.New("not signed")}, ""), foreignOverNotice(d, time.Now())} {
			if !h.court.notify(t.Context(), n) {
				t.Errorf("%s is not published", n.Kind)
			}
		}
		h.court.tellDenied(t.Context(), &knocked{knock{who: "eve", rollout: "story", do: "promote"}, "", errors.New("eve may not")})
		d.head.State.Status = decisions.StatusSuperseded // what is under way is given up: TestDeleteWhatIsLost
		h.court.farewell(t.Context(), d, schemas.Actor{Kind: "person", Name: "ada"})
		var have []string
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := h.court.bus.Notices(ctx, func(n *schemas.Notice) error {
			have = append(have, string(n.Kind)+" "+string(n.Severity))
			return nil
		})
		want := []string{"rollout-lost critical", "rollout-found info", "foreign-decision critical", "foreign-over info", "command-refused warning", "rollout-deleted info"}
		if !slices.Equal(have, want) || err != nil {
			t.Errorf("told %q (%v), want %q", have, err, want)
		}
	})
}
