package certify

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Report is what a run of the battery found.
type Report struct {
	Seed    uint64 `json:"seed"`
	Program string `json:"program,omitempty"` // that found it, with its version
	Rows    []Row  `json:"rows"`
}

// of is the rows of an experiment that was played with so many runs; nil: it wasn't.
func (r *Report) of(e *Experiment, runs int) []Row {
	var rows []Row
	for i := 0; r != nil && i < len(r.Rows); i++ {
		if row := &r.Rows[i]; row.Group == e.Group && row.Experiment == e.Name && row.Asked == runs {
			rows = append(rows, *row)
		}
	}
	return rows
}

// A Row is one measure of one method in one experiment.
type Row struct {
	Group      string  `json:"group"`
	Experiment string  `json:"experiment"`
	About      string  `json:"about"`
	Method     string  `json:"method"`
	Source     string  `json:"source,omitempty"`
	Ours       bool    `json:"ours"`
	Measure    string  `json:"measure"` // what was counted or measured
	Alpha      float64 `json:"alpha,omitempty"`
	Asked      int     `json:"asked"`           // runs of the experiment
	Runs       int     `json:"runs"`            // of this method: peers take part in fewer
	Count      int     `json:"count"`           // of a measure that counts runs
	Limit      int     `json:"limit,omitempty"` // that the count is held against: an exact binomial point
	Value      *Number `json:"value,omitempty"` // of a measure that is a number
	Upper      *Number `json:"upper,omitempty"` // upper 95 % limit: of Value, or (Clopper and Pearson's) of Count/Runs
	Bound      *Number `json:"bound,omitempty"` // that Value (Upper, where there is one) is held against
	Unit       string  `json:"unit,omitempty"`
	Result     Result  `json:"result"`
	Note       string  `json:"note,omitempty"`
}

// A Number is a measured one; infinite (in JSON "never") where what was measured did not happen.
type Number float64

// MarshalJSON writes a number, or "never".
func (n Number) MarshalJSON() ([]byte, error) {
	if math.IsInf(float64(n), 0) || math.IsNaN(float64(n)) {
		return []byte(`"never"`), nil
	}
	return strconv.AppendFloat(nil, float64(n), 'g', -1, 64), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (n *Number) UnmarshalJSON(text []byte) error {
	if string(text) == `"never"` {
		*n = Number(math.Inf(1))
		return nil
	}
	x, err := strconv.ParseFloat(string(text), 64)
	*n = Number(x)
	return err
}

// number is a row's number.
func number(x float64) *Number { return (*Number)(&x) }

// Result is what a row means.
type Result string

// What a row means.
const (
	Kept    Result = "kept"    // what is promised is kept
	Broken  Result = "broken"  // what is promised is not kept: the battery fails
	Within  Result = "within"  // nothing is promised, and the limit is kept
	Beyond  Result = "beyond"  // nothing is promised, and the limit is not kept
	Caught  Result = "caught"  // a planted mistake was found out
	Missed  Result = "missed"  // a planted mistake was not found out here; it has to be somewhere
	Figures Result = "figures" // a number to look at
)

// judge sets the result of a row that was held against a limit.
func (r *Row) judge(m Method, promised, beyond bool) {
	switch {
	case m.Wrong && beyond:
		r.Result = Caught
	case m.Wrong:
		r.Result = Missed
	case promised && beyond:
		r.Result = Broken
	case promised:
		r.Result = Kept
	case beyond:
		r.Result = Beyond
	default:
		r.Result = Within
	}
}

// Broken lists the rows in which something promised is not kept. A battery whose planted mistake was looked for and never found is broken, too.
func (r *Report) Broken() []Row {
	var broken []Row
	var planted *Row
	found := false
	for i := range r.Rows {
		row := &r.Rows[i]
		switch row.Result {
		case Broken:
			broken = append(broken, *row)
		case Caught:
			found = true
		case Missed:
			planted = row
		}
	}
	if planted != nil && !found {
		broken = append(broken, *planted)
	}
	return broken
}

// Markdown writes the report for people: a table for each group and measure, methods down, experiments across.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# What streamcanary was measured to do\n\nSeed %d%s. `streamcanary certify` makes this table; every number is of this run.\n", r.Seed, byProgram(r.Program))
	fmt.Fprintf(&b, "A share in **bold** is beyond its limit; `!` marks one where this product promises that it is not.\n")
	for _, group := range r.groups() {
		group.write(&b)
	}
	r.writeBroken(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func byProgram(program string) string {
	if program == "" {
		return ""
	}
	return ", " + program
}

func (r *Report) writeBroken(b *strings.Builder) {
	broken := r.Broken()
	if len(broken) == 0 {
		fmt.Fprintf(b, "\nEverything that is promised was kept in all %d rows.\n", len(r.Rows))
		return
	}
	fmt.Fprintf(b, "\n## Not kept\n\n")
	for _, row := range broken {
		fmt.Fprintf(b, "- %s/%s: %s: %s %s\n", row.Group, row.Experiment, row.Method, row.Measure, row.long())
	}
}

// A table is the rows of one group with one measure.
type table struct {
	group, measure string
	rows           []Row
}

// groups are the tables, in the order in which their first rows came.
func (r *Report) groups() []table {
	var all []table
	for _, row := range r.Rows {
		at := slices.IndexFunc(all, func(t table) bool { return t.group == row.Group && t.measure == row.Measure })
		if at < 0 {
			all = append(all, table{group: row.Group, measure: row.Measure})
			at = len(all) - 1
		}
		all[at].rows = append(all[at].rows, row)
	}
	return all
}

func (t *table) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s: %s\n\n", t.group, t.measure)
	var methods, heads, experiments []string
	cells := map[[2]string][]string{}
	for _, row := range t.rows {
		if !slices.Contains(methods, row.Method) {
			methods, heads = append(methods, row.Method), append(heads, row.head(t.rows[0].Runs))
		}
		if !slices.Contains(experiments, row.Experiment) {
			experiments = append(experiments, row.Experiment)
		}
		key := [2]string{row.Method, row.Experiment}
		cells[key] = append(cells[key], row.short())
	}
	if t.rows[0].Alpha > 0 {
		fmt.Fprintf(b, "At each alpha: %s. ", t.levels())
	}
	fmt.Fprintf(b, "%d runs.\n\n", t.rows[0].Runs)
	fmt.Fprintf(b, "| experiment | %s |\n|---|%s\n", strings.Join(heads, " | "), strings.Repeat("---|", len(methods)))
	for _, e := range experiments {
		fmt.Fprintf(b, "| %s |", e)
		for _, m := range methods {
			fmt.Fprintf(b, " %s |", strings.Join(cells[[2]string{m, e}], " / "))
		}
		fmt.Fprintln(b)
	}
}

// head is the method's name, with the number of its runs where the table has another.
func (r *Row) head(runs int) string {
	if r.Runs == runs {
		return r.Method
	}
	return fmt.Sprintf("%s (%d runs)", r.Method, r.Runs)
}

func (t *table) levels() string {
	var levels []string
	for _, row := range t.rows {
		if s := strconv.FormatFloat(row.Alpha, 'g', -1, 64); !slices.Contains(levels, s) {
			levels = append(levels, s)
		}
	}
	return strings.Join(levels, " / ")
}

// short is a row as a cell.
func (r *Row) short() string {
	text := r.figure()
	switch r.Result {
	case Broken:
		return "**" + text + "**!"
	case Beyond, Caught:
		return "**" + text + "**"
	}
	return text
}

// figure is the row's number.
func (r *Row) figure() string {
	switch {
	case r.Value == nil:
		return strconv.FormatFloat(float64(r.Count)/float64(max(1, r.Runs)), 'f', 3, 64)
	case math.IsInf(float64(*r.Value), 1):
		return "never"
	case r.Upper != nil:
		return fmt.Sprintf("%.3g (≤ %.3g)%s", *r.Value, *r.Upper, unit(r.Unit))
	}
	return fmt.Sprintf("%.3g%s", *r.Value, unit(r.Unit))
}

func unit(u string) string {
	if u == "" {
		return ""
	}
	return " " + u
}

// long is a row's number with what it is held against.
func (r *Row) long() string {
	switch {
	case r.Value == nil:
		return fmt.Sprintf("%d of %d, the limit is %d%s", r.Count, r.Runs, r.Limit, noted(r.Note))
	case r.Bound != nil:
		return fmt.Sprintf("%s, held against %.3g%s", r.figure(), *r.Bound, noted(r.Note))
	}
	return r.figure()
}

func noted(note string) string {
	if note == "" {
		return ""
	}
	return "; " + note
}

// counted writes counts, the largest first.
func counted(counts map[string]int) string {
	names := slices.Sorted(maps.Keys(counts))
	slices.SortStableFunc(names, func(a, b string) int { return counts[b] - counts[a] })
	var parts []string
	for _, n := range names {
		parts = append(parts, fmt.Sprintf("%s %d", strings.TrimSpace(n), counts[n]))
	}
	return strings.Join(parts, ", ")
}
