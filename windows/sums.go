package windows

import "math"

// SumUnit is how many units a cap is: sums of numbers are kept as integers, so that they don't depend on the order of addition.
const SumUnit = 1 << sumBits

const sumBits = 20

// SumUnits returns a number in units of a limit that is above 0: rounded, beyond the limit either way cut off; so from -SumUnit to SumUnit. NaN is 0.
func SumUnits(x, limit float64) int64 {
	if math.IsNaN(x) {
		return 0
	}
	return int64(math.Round(min(max(x, -limit), limit) / limit * SumUnit))
}

// SquareUnits returns the square of a number in units, in units: of a sum of n such, each is rounded down by less than one.
func SquareUnits(u int64) int64 { return u * u >> sumBits }

// AddValue counts row i with a number in units (SumUnits): in the cell and, where the rows are cut into calibration slices, in its slice.
func (c *Cell) AddValue(rows *Rows, i int, u int64) {
	c.N++
	c.Sum += u
	c.Squares += SquareUnits(u)
	if rows.Slice != nil {
		s := &c.Slices[rows.Slice[i]]
		s.N++
		s.Sum += u
	}
}

// hasSums says whether anything was added up in a cell.
func (c *Cell) hasSums() bool {
	if c.Sum != 0 || c.Squares != 0 {
		return true
	}
	for i := range c.Slices {
		if c.Slices[i].Sum != 0 {
			return true
		}
	}
	return false
}

// hasSums says whether anything was added up in a part.
func (p *Part) hasSums() bool {
	for arm := range Arms {
		for i := range p.Cells[arm] {
			if p.Cells[arm][i].hasSums() {
				return true
			}
		}
	}
	return false
}
