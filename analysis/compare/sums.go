package compare

import (
	"math"
	"strconv"

	"streamcanary/windows"
)

// sumSlack is by how much sums may be off from what values within the cap can add up to: they were rounded.
const sumSlack = 1e-6

// valuesMost bounds the values of a row: their sums are kept in steps of a millionth of the cap.
const valuesMost = 1_000_000_000

// sums adds a row of n values, known by their sum and the sum of their squares, to an arm.
func (r *rows) sums(c *counts, arm windows.Arm) error {
	n, err := r.whole(r.lines.fields[r.columns.n[arm]], colN, "count whole values")
	if err != nil {
		return err
	}
	sum, err := r.number(r.columns.sum[arm], colSum)
	if err != nil {
		return err
	}
	squares, err := r.number(r.columns.squares[arm], colSquares)
	if err != nil {
		return err
	}
	m, limit, at := float64(n), r.spec.Cap, r.lines.fields[r.columns.sum[arm]]
	switch {
	case n > valuesMost:
		return r.lines.fail(r.lines.fields[r.columns.n[arm]], "n %d is more than %d values: use shorter windows", n, int64(valuesMost))
	case math.Abs(sum) > m*limit*(1+sumSlack) || squares > m*limit*limit*(1+sumSlack):
		return r.lines.fail(at, "%d values with the sum %v and the squares %v can't all be within the cap of %v: cap them where they are added up, or give a greater cap", n, sum, squares, limit)
	case squares < 0 || sum*sum > m*squares*(1+sumSlack):
		return r.lines.fail(at, "%d values with the sum %v can't have squares that add up to %v only: give the sum of the squared values", n, sum, squares)
	}
	cell := &c.cells[0]
	steps := int64(math.Round(sum / limit * windows.SumUnit))
	cell.N += n
	cell.Sum += steps
	cell.Squares += int64(math.Round(squares / (limit * limit) * windows.SumUnit))
	if r.columns.unit != none && arm == windows.Baseline {
		s := &cell.Slices[windows.SliceOf(r.unitOf(c, arm, n))]
		s.N += n
		s.Sum += steps
	}
	return nil
}

func (r *rows) number(column int, name string) (float64, error) {
	r.see(column, name)
	f := r.lines.fields[column]
	x, err := strconv.ParseFloat(f.text, 64)
	switch {
	case f.text == "":
		return 0, r.lines.fail(f, "%s is empty: write 0 where there was nothing", name)
	case err != nil || math.IsNaN(x) || math.IsInf(x, 0):
		return 0, r.lines.fail(f, "%s %q is not a number: write e.g. 1234.5%s", name, f.text, pointHint(f.text))
	}
	return x, nil
}
