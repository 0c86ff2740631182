package schemas

import (
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Training is what is known of the canary from before it served.
type Training struct {
	Scores string // file of the scores that it gave offline: its path, relative to the rollout file's folder
	// Offline is what stands in the file; nil until somebody who has it has read it. It is no part of the rollout file, so no part of Sha256.
	Offline *OfflineScores
}

// OfflineScores are a file's scores in bins of about equal share: all that is kept of them. Bin i has the scores above edge i-1 and up to edge i, the last bin
// all above the last edge, so there is one bin more than edges. ReadScores makes one; whoever gets one from elsewhere calls Check.
type OfflineScores struct {
	Sha256 string    `json:"sha256"` // of the file's bytes, lower-case hex
	N      int64     `json:"n"`
	Edges  []float64 `json:"edges"` // ascending, none twice; 1 to OfflineBins-1
	Counts []int64   `json:"counts"`
}

// Bounds of offline scores.
const (
	OfflineBins      = 20        // at most; fewer where values repeat
	MinScores        = 100       // with fewer, nothing could be proven of scores online
	MaxScores        = 2_000_000 // more say nothing that matters
	MaxScoresBytes   = 64 << 20
	scoreColumn      = "score"
	trainingSuffix   = ".csv"
	trainingExample  = "training: {scores: offline-scores-42.csv}"
	trainingNoScores = "the offline scores that spec.training.scores names (%s) did not come with the rollout: apply it again, from the folder that has the file (of one that is in no folder, as `rollout back` makes them, write the file there first: `rollout explain NAME > FILE`)"
)

// ReadScores reads a file of offline scores: a number on each line, or, below a first line with the names of columns, a column `score`. It needs at least two
// different ones. Errors name the file and the line, and say what to do.
func ReadScores(name string, from io.Reader) (*OfflineScores, error) {
	hash := sha256.New()
	limited := &io.LimitedReader{R: from, N: MaxScoresBytes + 1}
	scores, err := scoresOf(name, io.TeeReader(limited, hash))
	switch {
	case limited.N == 0:
		return nil, fmt.Errorf("%s has more than %d bytes: take a random sample of its scores, up to %d", name, MaxScoresBytes, MaxScores)
	case err != nil:
		return nil, err
	case len(scores) < MinScores:
		return nil, fmt.Errorf("%s has %d scores: write at least %d, or nothing could be proven by them", name, len(scores), MinScores)
	}
	slices.Sort(scores)
	o := &OfflineScores{Sha256: hex.EncodeToString(hash.Sum(nil)), N: int64(len(scores)), Edges: edgesOf(scores)}
	if o.Edges == nil {
		return nil, fmt.Errorf("%s: all scores are %v: is it the right column?", name, scores[0])
	}
	o.Counts = make([]int64, len(o.Edges)+1)
	for _, x := range scores {
		o.Counts[o.Bin(x)]++
	}
	return o, nil
}

// edgesOf are the upper ends of bins of equal share, of ascending scores; where a value is so frequent that it fills several bins, there are fewer. nil: all are
// the same.
func edgesOf(scores []float64) []float64 {
	var edges []float64
	last := scores[len(scores)-1]
	for i := 1; i < OfflineBins; i++ {
		edge := scores[(i*len(scores)+OfflineBins-1)/OfflineBins-1]
		if edge < last && (edges == nil || edge > edges[len(edges)-1]) {
			edges = append(edges, edge)
		}
	}
	if below, _ := slices.BinarySearch(scores, last); edges == nil && below > 0 {
		edges = []float64{scores[below-1]}
	}
	return edges
}

// scoresOf reads the numbers.
func scoresOf(name string, from io.Reader) ([]float64, error) {
	reader := csv.NewReader(from)
	reader.ReuseRecord, reader.TrimLeadingSpace = true, true
	var scores []float64
	column := -1
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return scores, nil
		}
		if err != nil {
			return nil, brokenScores(name, err)
		}
		if column < 0 {
			var header bool
			if column, header, err = columnOf(record); err != nil {
				return nil, fmt.Errorf("%s:1: %w", name, err)
			}
			if header {
				continue
			}
		}
		if len(scores) == MaxScores {
			return nil, fmt.Errorf("%s has more than %d scores: take a random sample of them", name, MaxScores)
		}
		x, err := strconv.ParseFloat(strings.TrimSpace(record[column]), 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			line, _ := reader.FieldPos(column)
			return nil, fmt.Errorf("%s:%d: %s is no score: write a finite number like 0.37, or remove the line", name, line, shortQuoted(record[column]))
		}
		scores = append(scores, x)
	}
}

// columnOf finds the scores by the first line, and says whether that is names.
func columnOf(first []string) (column int, header bool, err error) {
	if len(first) == 1 {
		if _, err := strconv.ParseFloat(strings.TrimSpace(first[0]), 64); err == nil {
			return 0, false, nil
		}
	}
	at := -1
	for i, name := range first {
		if strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")) != scoreColumn {
			continue
		}
		if at >= 0 {
			return 0, true, fmt.Errorf("two columns are called %s: rename one", scoreColumn)
		}
		at = i
	}
	if at < 0 {
		return 0, true, fmt.Errorf("%s is neither a score nor a line of names with a column %s: write a number on each line, or name the column", shortQuoted(strings.Join(first, ",")), scoreColumn)
	}
	return at, true, nil
}

func brokenScores(name string, err error) error {
	var broken *csv.ParseError
	if !errors.As(err, &broken) {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if errors.Is(err, csv.ErrFieldCount) {
		return fmt.Errorf("%s:%d: this line has more or fewer columns than the first one: let all have as many", name, broken.Line)
	}
	return fmt.Errorf("%s:%d: it is no CSV: %w", name, broken.Line, broken.Err)
}

// shortQuoted is what somebody wrote, short enough for a sentence.
func shortQuoted(text string) string {
	const most = 40
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strconv.Quote(text)
}

// Bin is the place of the bin that holds x.
func (o *OfflineScores) Bin(x float64) int {
	at, _ := slices.BinarySearch(o.Edges, x)
	return at
}

// Check says what is wrong with scores that came from elsewhere; nil: nothing.
func (o *OfflineScores) Check() error {
	if len(o.Edges) < 1 || len(o.Edges) >= OfflineBins || len(o.Counts) != len(o.Edges)+1 {
		return fmt.Errorf("offline scores: %d edges and %d bins: there is 1 to %d edges, and one bin more", len(o.Edges), len(o.Counts), OfflineBins-1)
	}
	for i, edge := range o.Edges {
		if math.IsNaN(edge) || math.IsInf(edge, 0) || i > 0 && edge <= o.Edges[i-1] {
			return fmt.Errorf("offline scores: edge %d is %v: edges are finite and ascend", i, edge)
		}
	}
	sum := int64(0)
	for i, n := range o.Counts {
		if n < 1 || n > MaxScores {
			return fmt.Errorf("offline scores: bin %d has %d of them", i, n)
		}
		sum += n
	}
	if sum != o.N || sum < MinScores || sum > MaxScores {
		return fmt.Errorf("offline scores: bins have %d of %d, and there are %d to %d", sum, o.N, MinScores, MaxScores)
	}
	if raw, err := hex.DecodeString(o.Sha256); err != nil || len(raw) != sha256.Size {
		return fmt.Errorf("offline scores: sha256 %s is none", shortQuoted(o.Sha256))
	}
	return nil
}

// Equal reports whether both are of the same file. Either may be nil.
func (o *OfflineScores) Equal(other *OfflineScores) bool {
	if o == nil || other == nil {
		return o == other
	}
	return o.Sha256 == other.Sha256
}

// WithOffline gives a rollout the offline scores that came along with it. It refuses a rollout that names some without them, and ignores them where it names
// none.
func (r *Rollout) WithOffline(o *OfflineScores) error {
	if r.Training == nil {
		return nil
	}
	if o == nil {
		return fmt.Errorf(trainingNoScores, r.Training.Scores)
	}
	if err := o.Check(); err != nil {
		return err
	}
	r.Training.Offline = o
	return nil
}

// readTraining fills in what is known of the canary from before.
func (rr rolloutReader) readTraining() {
	if !rr.spec.given("training") {
		return
	}
	s := rr.spec.under("training")
	written := s.text("scores")
	if written != "" && suffixOf(written) != trainingSuffix {
		s.refuse("scores", "%q: write the name of a file that ends in %s: a number on each line, or a column %s", written, trainingSuffix, scoreColumn)
	}
	rr.rollout.Training = &Training{Scores: written}
}
