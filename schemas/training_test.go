package schemas

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// linesOf are n lines.
func linesOf(n int, line func(i int) string) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintln(&text, line(i))
	}
	return text.String()
}

func TestReadScores(t *testing.T) {
	hundred := linesOf(100, func(i int) string { return fmt.Sprint(float64(i*37%100) / 100) }) // 0 to 0.99, in no order
	table := "id,score,when\n" + linesOf(100, func(i int) string { return fmt.Sprintf("a%d, %g ,x", i, float64(99-i)/100) })
	for name, text := range map[string]string{"a number a line": hundred, "a column": table, "with a mark in front": "\ufeffscore\n" + hundred} {
		o, err := ReadScores("s.csv", strings.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if o.N != 100 || len(o.Edges) != 19 || o.Edges[0] != 0.04 || o.Edges[18] != 0.94 || !slices.Equal(o.Counts, slices.Repeat([]int64{5}, 20)) {
			t.Errorf("%s: %+v", name, o)
		}
		if err := o.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestScoresThatRepeat: a value that is frequent has fewer bins.
func TestScoresThatRepeat(t *testing.T) {
	for _, test := range []struct {
		name   string
		score  func(i int) float64
		edges  []float64
		counts []int64
	}{
		{"two values", func(i int) float64 { return float64(i % 2) }, []float64{0}, []int64{100, 100}},
		{"one that is rare below", func(i int) float64 { return float64(min(i, 1)) }, []float64{0}, []int64{1, 199}},
		{"one that is rare above", func(i int) float64 { return float64(i / 199) }, []float64{0}, []int64{199, 1}},
		{"three", func(i int) float64 { return float64(min(i/50, 2)) }, []float64{0, 1}, []int64{50, 50, 100}},
	} {
		o, err := ReadScores("s.csv", strings.NewReader(linesOf(200, func(i int) string { return fmt.Sprint(test.score(i)) })))
		if err != nil || !reflect.DeepEqual(o.Edges, test.edges) || !reflect.DeepEqual(o.Counts, test.counts) {
			t.Errorf("%s: %+v, %v", test.name, o, err)
		}
	}
}

func TestBadScores(t *testing.T) {
	good := linesOf(100, func(i int) string { return fmt.Sprint(i) })
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "s.csv has 0 scores: write at least 100, or nothing could be proven by them"},
		{"few", "0.5\n0.6\n", "s.csv has 2 scores: write at least 100, or nothing could be proven by them"},
		{"a word", good + "n/a\n", `s.csv:101: "n/a" is no score: write a finite number like 0.37, or remove the line`},
		{"not a number", good + "NaN\n", `s.csv:101: "NaN" is no score: write a finite number like 0.37, or remove the line`},
		{"no column", "id,value\na,1\n", `s.csv:1: "id,value" is neither a score nor a line of names with a column score: write a number on each line, or name the column`},
		{"two columns", "score,score\n1,1\n", "s.csv:1: two columns are called score: rename one"},
		{"more columns", "score\n1\n1,2\n", "s.csv:3: this line has more or fewer columns than the first one: let all have as many"},
		{"quotes", "score\n1\n\"2\n", `s.csv:3: it is no CSV: extraneous or missing " in quoted-field`},
		{"all alike", linesOf(100, func(int) string { return "0.5" }), "s.csv: all scores are 0.5: is it the right column?"},
		{"too many", strings.Repeat("1\n", MaxScores+1), "s.csv has more than 2000000 scores: take a random sample of them"},
	} {
		_, err := ReadScores("s.csv", strings.NewReader(test.text))
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	wide := strings.Repeat("1,"+strings.Repeat("x", 1<<16)+"\n", MaxScoresBytes>>16)
	if _, err := ReadScores("s.csv", strings.NewReader("score,note\n"+wide)); err == nil || !strings.Contains(err.Error(), "more than 67108864 bytes: take a random sample") {
		t.Errorf("too large: %v", err)
	}
}

// TestOfflineScoresFromElsewhere: what a machine sent is checked.
func TestOfflineScoresFromElsewhere(t *testing.T) {
	sound := func() *OfflineScores {
		return &OfflineScores{Sha256: strings.Repeat("0f", 32), N: 100, Edges: []float64{1, 2}, Counts: []int64{50, 25, 25}}
	}
	r := &Rollout{Training: &Training{Scores: "s.csv"}}
	if err := r.WithOffline(sound()); err != nil || r.Training.Offline == nil {
		t.Errorf("%+v, %v", r.Training, err)
	}
	if err := r.WithOffline(nil); err == nil || !strings.Contains(err.Error(), "(s.csv) did not come with the rollout: apply it again") {
		t.Error(err)
	}
	if err := new(Rollout).WithOffline(sound()); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(o *OfflineScores){
		"edges descend":  func(o *OfflineScores) { o.Edges[1] = 1 },
		"no edges":       func(o *OfflineScores) { o.Edges, o.Counts = nil, []int64{100} },
		"too few bins":   func(o *OfflineScores) { o.Counts = o.Counts[:2] },
		"an empty bin":   func(o *OfflineScores) { o.Counts[0], o.Counts[1] = 0, 75 },
		"another number": func(o *OfflineScores) { o.N++ },
		"no hash":        func(o *OfflineScores) { o.Sha256 = "00" },
	} {
		o := sound()
		change(o)
		if err := r.WithOffline(o); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}
