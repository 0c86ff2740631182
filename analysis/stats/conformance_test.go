package stats

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// A kind is one sequential test as the conformance test sees it. Each registers itself, beside its own tests.
type kind struct {
	name string
	file string // where it is written
	// start returns a new process. It is a sequence, too, if what it offers is an interval.
	start func() process
	// null draws a stream of blocks from a world on the boundary of the null (of a sequence: one where truth holds).
	null  func(r *rand.Rand) func(t int) any
	truth float64
	// harm draws from a world in which the test alarms (of a sequence: one where truth doesn't hold).
	harm func(r *rand.Rand) func(t int) any
	// tiny has small blocks enumerated: all outcomes with their chances, under the null. Sequences need none.
	tiny [][]outcome
	// idle are blocks that say nothing: evidence doesn't move. edges are odd ones: evidence is a number, and finite.
	idle, edges []any
	// anyOrder: it claims that disjoint blocks may be added up in any order, partition by partition, and give the same as in a stream.
	anyOrder bool
}

// A process takes blocks, of a type that its kind knows.
type process interface {
	take(block any, weight float64)
	logE() float64
	logMax() float64
}

type sequence interface {
	process
	interval(alpha float64) (lower, upper float64)
}

type outcome struct {
	chance float64
	block  any
}

var kinds []kind

// runs is how many streams each kind is simulated with; make sim takes more.
var runs = flag.Int("runs", 120, "simulated streams for each sequential test")

func register(k kind) { kinds = append(kinds, k) }

// kernel is a process of increments in a Mixture.
type kernel struct {
	*Mixture
	inc        []float64
	increments func(dst []float64, block any) bool
}

func newKernel(points int, increments func(dst []float64, block any) bool) process {
	return &kernel{NewMixture(points), make([]float64, points), increments}
}

func (k *kernel) take(block any, weight float64) {
	if k.increments(k.inc, block) {
		k.Step(k.inc, weight)
	}
}
func (k *kernel) logE() float64   { return k.LogE() }
func (k *kernel) logMax() float64 { return k.LogMax() }

// unplayed is the evidence part of a sequence: it has none.
type unplayed struct{}

func (unplayed) logE() float64   { return 0 }
func (unplayed) logMax() float64 { return 0 }

func isSequence(k kind) bool {
	_, ok := k.start().(sequence)
	return ok
}

func TestConformance(t *testing.T) {
	slices.SortFunc(kinds, func(a, b kind) int { return strings.Compare(a.name, b.name) })
	for i, k := range kinds {
		if k.name == "" || i > 0 && kinds[i-1].name == k.name {
			t.Errorf("kind %d needs a name of its own, not %q", i, k.name)
		}
		t.Run(k.name, func(t *testing.T) {
			conformsAtStart(t, k)
			conformsWhenIdle(t, k)
			conformsOnEdges(t, k)
			conformsWithoutAllocating(t, k)
			for i, law := range k.tiny {
				conformsInMean(t, k, i, law)
			}
			if len(k.tiny) == 0 && !isSequence(k) || len(k.idle) == 0 || len(k.edges) == 0 || k.harm == nil {
				t.Fatal("nothing is enumerated, idle, or odd, or there is no harm to find")
			}
			if k.anyOrder {
				conformsInAnyOrder(t, k)
			}
			conformsInItsMaximum(t, k)
			const alpha = 0.05
			limit := binomialLimit(*runs, alpha)
			alarms := alarmsIn(k, k.null, *runs, alpha)
			if alarms > limit {
				t.Errorf("%d of %d runs on the null's boundary alarmed; more than %d is no accident", alarms, *runs, limit)
			}
			harmed := max(10, *runs/12)
			found := alarmsIn(k, k.harm, harmed, alpha)
			if found < harmed*9/10 {
				t.Errorf("only %d of %d runs with harm alarmed", found, harmed)
			}
			t.Logf("at %v, %d of %d runs on the null's boundary alarmed, and %d of %d with harm", alpha, alarms, *runs, found, harmed)
		})
	}
}

// state is what a process says, for comparison.
func state(p process) [4]float64 {
	s := [4]float64{p.logE(), p.logMax()}
	if q, ok := p.(sequence); ok {
		s[2], s[3] = q.interval(0.05)
	}
	return s
}

func conformsAtStart(t *testing.T, k kind) {
	p := k.start()
	if p.logE() != 0 || p.logMax() != 0 {
		t.Errorf("starts at log e %v, max %v; want 0, 0", p.logE(), p.logMax())
	}
	if q, ok := p.(sequence); ok {
		if lower, upper := q.interval(1e-6); lower > k.truth || upper < k.truth {
			t.Errorf("starts at %v to %v", lower, upper)
		}
	}
}

func conformsWhenIdle(t *testing.T, k kind) {
	p := k.start()
	blocks := k.null(rand.New(rand.NewPCG(61, 1)))
	for at := range 5 {
		p.take(blocks(at), StartWeight(int64(at), 10))
	}
	before := state(p)
	for i, b := range k.idle {
		p.take(b, 0)
		if after := state(p); after != before {
			t.Errorf("idle block %d, %v, moved it from %v to %v", i, b, before, after)
		}
	}
}

func conformsOnEdges(t *testing.T, k kind) {
	for _, b := range k.edges {
		p := k.start()
		for at := range int64(3) {
			p.take(b, StartWeight(at, 10))
		}
		if s := state(p); slices.ContainsFunc(s[:], math.IsNaN) || math.IsInf(s[0], 0) || math.IsInf(s[1], 0) || s[2] > s[3] {
			t.Errorf("after the block %v: %v", b, s)
		}
	}
}

func conformsWithoutAllocating(t *testing.T, k kind) {
	p := k.start()
	next := k.null(rand.New(rand.NewPCG(62, 1)))
	var blocks []any
	for at := range 32 {
		blocks = append(blocks, next(at))
	}
	at := int64(0)
	take := func() {
		p.take(blocks[at%32], StartWeight(at, 1000))
		at++
	}
	for range 70 { // beyond the reference period of SplitChange
		take()
	}
	if allocs := testing.AllocsPerRun(50, take); allocs > 0 {
		t.Errorf("%v allocations for a block", allocs)
	}
	if q, ok := p.(sequence); ok {
		if allocs := testing.AllocsPerRun(5, func() { q.interval(0.05) }); allocs > 0 {
			t.Errorf("%v allocations for an interval", allocs)
		}
	}
}

// conformsInMean: over all outcomes of one block, and of two, the mean e-value is at most 1.
func conformsInMean(t *testing.T, k kind, which int, law []outcome) {
	chances, one, two := 0.0, 0.0, 0.0
	for _, first := range law {
		chances += first.chance
		p := k.start()
		p.take(first.block, 0.7)
		one += first.chance * math.Exp(p.logE())
		for _, second := range law {
			p := k.start()
			p.take(first.block, 0.7)
			p.take(second.block, 0.2)
			two += first.chance * second.chance * math.Exp(p.logE())
		}
	}
	if math.Abs(chances-1) > 1e-9 {
		t.Errorf("law %d: the chances add up to %v", which, chances)
	}
	if one > 1+1e-9 || two > 1+1e-9 {
		t.Errorf("law %d: mean e-value %v after one block, %v after two", which, one, two)
	}
}

// conformsInAnyOrder: the blocks of a stream, shuffled, give the same evidence and the same interval. (Of evidence: as products, whose
// stake starts with the first block.)
func conformsInAnyOrder(t *testing.T, k kind) {
	r := rand.New(rand.NewPCG(64, 1))
	next := k.harm(r)
	var blocks []any
	for at := range 40 {
		blocks = append(blocks, next(at))
	}
	fold := func() [4]float64 {
		p := k.start()
		weight := 1.0
		for _, b := range blocks {
			before := p.logE()
			p.take(b, weight)
			if p.logE() != before {
				weight = 0
			}
		}
		s := state(p)
		s[1] = 0 // the maximum is of the path
		return s
	}
	want := fold()
	for range 3 {
		r.Shuffle(len(blocks), func(i, j int) { blocks[i], blocks[j] = blocks[j], blocks[i] })
		got := fold()
		for i := range got {
			if d := math.Abs(got[i] - want[i]); d > 1e-9*(1+math.Abs(want[i])) {
				t.Errorf("in order %v, shuffled %v", want, got)
				return
			}
		}
	}
}

// conformsInItsMaximum: the running maximum is what it says.
func conformsInItsMaximum(t *testing.T, k kind) {
	for _, world := range []func(r *rand.Rand) func(int) any{k.null, k.harm} {
		p, blocks := k.start(), world(rand.New(rand.NewPCG(65, 1)))
		most := 0.0
		for at := range 60 {
			p.take(blocks(at), StartWeight(int64(at), 60))
			most = max(most, p.logE())
			if p.logMax() != most {
				t.Errorf("block %d: running maximum %v, want %v", at, p.logMax(), most)
				return
			}
		}
	}
}

// alarmsIn counts the runs of 60 blocks, looked at after each, that ever reach 1/alpha (or whose interval ever misses the truth).
func alarmsIn(k kind, world func(r *rand.Rand) func(int) any, runs int, alpha float64) int {
	alarms := 0
	for run := range runs {
		p := k.start()
		blocks := world(rand.New(rand.NewPCG(63, uint64(run))))
		alarmed := false
		for at := range 60 {
			p.take(blocks(at), StartWeight(int64(at), 60))
			if q, ok := p.(sequence); ok {
				lower, upper := q.interval(alpha)
				alarmed = alarmed || !(lower <= k.truth && k.truth <= upper)
			}
		}
		if alarmed || p.logMax() >= math.Log(1/alpha) {
			alarms++
		}
	}
	return alarms
}

// pooledZ is a wrong test: the two-proportion z-test on all counts so far, looked at after each block. Drift with a ramp confounds it, and
// so do the many looks.
type pooledZ struct {
	unplayed
	c Counts
	z float64
}

func (p *pooledZ) take(block any, _ float64) {
	c := block.(Counts)
	p.c = Counts{p.c.Nc + c.Nc, p.c.Kc + c.Kc, p.c.Nb + c.Nb, p.c.Kb + c.Kb}
	pool := (p.c.Kc + p.c.Kb) / (p.c.Nc + p.c.Nb)
	if se := math.Sqrt(pool * (1 - pool) * (1/p.c.Nc + 1/p.c.Nb)); se > 0 {
		p.z = max(p.z, (p.c.Kc/p.c.Nc-p.c.Kb/p.c.Nb)/se)
	}
}

func (p *pooledZ) logMax() float64 {
	if p.z > 1.645 {
		return math.Inf(1)
	}
	return 0
}

// TestTheHarnessCatchesAWrongTest: what TestConformance passes must not be able to pass a test that is wrong, neither under drift and a ramp nor
// in a world that stands still (where only the looks are wrong).
func TestTheHarnessCatchesAWrongTest(t *testing.T) {
	const alpha = 0.05
	wrong := map[string]func() process{
		"pooled z-test": func() process { return &pooledZ{} }, "interval of one look": func() process { return &repeatedZ{} },
	}
	for name, start := range wrong {
		for _, ramp := range []bool{true, false} {
			k := kind{name: name, start: start, null: func(r *rand.Rand) func(int) any {
				w := worldOfRates{r: r, size: 4000, rate: 0.01, rho: 1, blocks: 60}
				return func(t int) any {
					if !ramp {
						t = 59 // half of the traffic: no count is small
					}
					return w.block(t)
				}
			}}
			limit := binomialLimit(*runs, alpha)
			if alarms := alarmsIn(k, k.null, *runs, alpha); alarms <= limit {
				t.Errorf("ramp %v: the repeated %s alarmed in %d of %d runs; the harness let it pass", ramp, name, alarms, *runs)
			}
		}
	}
}

// TestEveryTestIsRegistered reads the sources: a file that makes increments, evidence or an interval has a kind.
func TestEveryTestIsRegistered(t *testing.T) {
	const itself = "mixture.go" // what the others put their increments into
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || name == itself {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() {
				continue
			}
			says := strings.HasSuffix(f.Name.Name, "Increment") || strings.HasSuffix(f.Name.Name, "Increments") ||
				f.Name.Name == "LogE"
			if says && !slices.ContainsFunc(kinds, func(k kind) bool { return k.file == name }) {
				t.Errorf("%s has %s and no kind for TestConformance", name, f.Name.Name)
			}
			if saysBounds(f) && !slices.ContainsFunc(kinds, func(k kind) bool { return k.file == name && isSequence(k) }) {
				t.Errorf("%s has the bounds %s and no sequence for TestConformance", name, f.Name.Name)
			}
		}
	}
}

// saysBounds reports whether a function returns a lower and an upper bound.
func saysBounds(f *ast.FuncDecl) bool {
	var names []string
	if f.Type.Results != nil {
		for _, result := range f.Type.Results.List {
			for _, name := range result.Names {
				names = append(names, name.Name)
			}
		}
	}
	return slices.Equal(names, []string{"lower", "upper"})
}
