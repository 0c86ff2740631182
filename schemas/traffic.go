package schemas

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A Traffic says what a model's traffic is like before a canary gets any of it: what `plan` reckons with. What isn't stated is zero or
// missing. Names are guardrails', or what guardrails watch: error, latency, an outcome, a sample.
type Traffic struct {
	Requests  float64 // a second, both arms together
	Share     float64 // the canary's, in (0, 1), where a stage doesn't say; 0: not stated
	Rates     map[string]float64
	Quantiles map[string][]QuantileValue // at least two of each, ascending
	Samples   map[string]float64         // readings a second, of all hosts together
	Means     map[string]MeanValue
	Phi       map[string]float64 // over-dispersion, from 1 on
}

// A QuantileValue is one point of a distribution: the value that Quantile of all values don't exceed, in milliseconds for latencies.
type QuantileValue struct{ Quantile, Value float64 }

// A MeanValue is the mean of values, and how far they spread: their standard deviation.
type MeanValue struct{ Mean, Deviation float64 }

// maxStated bounds how much one file states of a kind.
const maxStated = 256

// trafficForm is all that a file about traffic may hold.
var trafficForm = mapping(
	field{key: "apiVersion", form: word(APIVersion), def: APIVersion, about: "version of this file's shape"},
	field{key: "kind", form: word("Traffic"), def: "Traffic", about: "what this file is"},
	field{key: "requests", form: number(0, 1e9).above(), need: required, example: "requests: 200", about: "a second, both arms together"},
	field{key: "share", form: form{kind: percentForm}, about: "the canary's, where a stage doesn't say"},
	field{key: "rates", form: names(maxStated, form{kind: percentForm}), about: "of the baseline: error, timeout, outcomes; of samples the share above the limit"},
	field{key: "quantiles", form: names(maxStated, names(maxStated, form{kind: marginForm})), about: "of the baseline's latency or values: {p50: 20ms, p99: 120ms}"},
	field{key: "samples", form: names(maxStated, number(0, 1e9).above()), about: "readings a second, of all hosts together"},
	field{key: "means", form: names(maxStated, mapping(
		field{key: "mean", form: number(-1e15, 1e15), need: required, example: "mean: 3.2", about: "per prediction, sums of outcomes too"},
		field{key: "deviation", form: number(0, 1e15), need: required, example: "deviation: 20", about: "standard deviation"},
	)), about: "of the baseline's values"},
	field{key: "phi", form: names(maxStated, number(1, 100)), about: "over-dispersion, where it is known"},
)

// ParseTraffic reads a file about traffic as strictly as ParseRollout reads a rollout. The error is a *FileError.
func ParseTraffic(name string, data []byte) (*Traffic, error) {
	found := &problems{file: name}
	root := found.readDocument(data)
	if root == nil {
		return nil, found.err()
	}
	checker{found, &trafficForm}.check(root, &trafficForm, "")
	s := section{found, root, &trafficForm, ""}
	t := &Traffic{
		Requests: s.number("requests"), Share: s.number("share") / 100, Rates: map[string]float64{}, Quantiles: map[string][]QuantileValue{},
		Samples: s.numbers("samples", 1), Means: map[string]MeanValue{}, Phi: s.numbers("phi", 1),
	}
	if s.given("share") && (t.Share == 0 || t.Share >= 1) {
		s.refuse("share", "%s leaves one arm without traffic: write a share between 0%% and 100%%", s.text("share"))
	}
	t.Rates = s.numbers("rates", 0.01)
	for name, n := range s.entries("quantiles") {
		t.Quantiles[name] = s.readQuantiles(name, n)
	}
	for name, n := range s.entries("means") {
		one := section{found, n, s.field("means").form.item, join("means", name)}
		if n.Kind == yaml.MappingNode {
			t.Means[name] = MeanValue{one.number("mean"), one.number("deviation")}
		}
	}
	if err := found.err(); err != nil {
		return nil, err
	}
	return t, nil
}

// entries are the values of a mapping with free names, by name.
func (s section) entries(key string) map[string]*yaml.Node {
	entries := map[string]*yaml.Node{}
	n := s.value(key)
	if n == nil || n.Kind != yaml.MappingNode || len(n.Content) > 2*maxStated {
		return entries
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		entries[n.Content[i].Value] = n.Content[i+1]
	}
	return entries
}

// numbers reads a mapping of names to numbers or percents, in a unit.
func (s section) numbers(key string, unit float64) map[string]float64 {
	read := map[string]float64{}
	for name, n := range s.entries(key) {
		value, _ := plainNumber(strings.TrimSuffix(n.Value, "%"))
		read[name] = value * unit
	}
	return read
}

func (s section) readQuantiles(name string, n *yaml.Node) []QuantileValue {
	var points []QuantileValue
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		point, err := ParseQuantileValue(name, key.Value, value.Value)
		if err != nil {
			s.problems.add(spotOf(value), join(join("quantiles", name), key.Value), "%v", err)
			continue
		}
		points = append(points, point)
	}
	if !s.problems.under(join("quantiles", name)) {
		if err := CheckQuantiles(points); err != nil {
			s.problems.add(spotOf(n), join("quantiles", name), "%v", err)
		}
	}
	return points
}

// ParseQuantileValue reads one point of the distribution of something: p99 and 120ms, or p50 and 250 for what isn't latency. The error says
// what to write.
func ParseQuantileValue(of, quantile, value string) (QuantileValue, error) {
	percent, named := strings.CutPrefix(quantile, "p")
	q, wrong := plainNumber(percent)
	if !named || wrong != "" || q <= 0 || q >= 100 {
		return QuantileValue{}, fmt.Errorf("%q is no quantile: write e.g. p50 or p99.9", quantile)
	}
	point := QuantileValue{Quantile: q / 100}
	if of == ofLatency {
		d, err := ParseDuration(value)
		if err != nil || d > marginLatencyMax {
			return QuantileValue{}, fmt.Errorf("%q is no latency: write e.g. 20ms", value)
		}
		point.Value = float64(d) / float64(time.Millisecond)
		return point, nil
	}
	x, err := strconv.ParseFloat(value, 64)
	if err != nil || x != x || x > 1e15 || x < -1e15 {
		return QuantileValue{}, fmt.Errorf("%q is no number: write it in the unit of %s, e.g. 250", value, of)
	}
	point.Value = x
	return point, nil
}

// CheckQuantiles sorts the points of a distribution, and refuses fewer than two and such as contradict each other.
func CheckQuantiles(points []QuantileValue) error {
	slices.SortStableFunc(points, func(a, b QuantileValue) int { return cmp.Compare(a.Quantile, b.Quantile) })
	if len(points) < 2 {
		return fmt.Errorf("one quantile says nothing of the spread: write two or more, e.g. {p50: 20ms, p99: 120ms}")
	}
	for i := 1; i < len(points); i++ {
		low, high := points[i-1], points[i]
		switch {
		case low.Quantile == high.Quantile:
			return fmt.Errorf("%s is given twice: remove one", low.name())
		case low.Value >= high.Value:
			return fmt.Errorf("%s is not above %s: write higher values for higher quantiles", high.name(), low.name())
		}
	}
	return nil
}

func (v QuantileValue) name() string { return fmt.Sprintf("p%.6g", 100*v.Quantile) }

// ParseShare reads a share such as 5%, .5% or 0, and returns it in 0..1. The error says what to write.
func ParseShare(text string) (float64, error) {
	if text == "0" { // of whatever
		return 0, nil
	}
	digits, percent := strings.CutSuffix(text, "%")
	if strings.HasPrefix(digits, ".") {
		digits = "0" + digits
	}
	share, wrong := plainNumber(digits)
	if !percent || wrong != "" || share > 100 {
		return 0, fmt.Errorf("%q is no share: write e.g. 5%% or 0.3%%", text)
	}
	return share / 100, nil
}

// ParseMargin reads a margin, or a limit, as the guardrail's own may be written. The error says what to write.
func (g *Guardrail) ParseMargin(text string) (Margin, error) { return parseMargin(text, g) }
