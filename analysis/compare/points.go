package compare

import (
	"regexp"
	"strings"
)

// inThousands is a number whose points may stand between thousands, as spreadsheets write them where numbers have a decimal comma.
var inThousands = regexp.MustCompile(`^[+-]?[1-9][0-9]{0,2}(\.[0-9]{3})+$`)

const semicolonsHint = "in a file with semicolons points may stand between thousands"

// ambiguous reports whether a field may be another number than the one that is read. Of files with semicolons alone: these separate
// fields where the comma is the decimal point.
func (r *rows) ambiguous(f field) bool {
	return r.lines.separator == ';' && inThousands.MatchString(f.text)
}

// points are what the numbers of a real-valued column tell of its points.
type points struct {
	decimal bool  // one is a decimal point
	doubt   place // of the first number that may have it between thousands
	text    string
	name    string // of the column
}

// see looks at the point of a number in a real-valued column. What it is may be told by a later number, so end refuses it.
func (r *rows) see(column int, name string) {
	if r.lines.separator != ';' {
		return
	}
	if r.points == nil {
		r.points = make([]points, r.columns.width)
	}
	f, p := r.lines.fields[column], &r.points[column]
	switch {
	case p.decimal || !strings.Contains(f.text, "."):
	case !r.ambiguous(f):
		p.decimal = true
	case p.doubt.line == 0:
		p.doubt, p.text, p.name = place{r.lines.number, f.at}, f.text, name
	}
}

// doubtful is an error where no number of a column tells what its points are.
func (r *rows) doubtful() error {
	for _, p := range r.points {
		if p.decimal || p.doubt.line == 0 {
			continue
		}
		whole := strings.ReplaceAll(p.text, ".", "")
		return &InputError{r.lines.file, p.doubt.line, p.doubt.column, p.name + ` "` + p.text + `" can be ` + p.text + " or " + whole + " (" + semicolonsHint +
			"), and no number in its column tells which: write " + p.text + "0 or " + whole}
	}
	return nil
}

// pointHint says how a number with separators of thousands, or a comma, is written.
func pointHint(text string) string {
	if strings.Contains(text, ",") || strings.Count(text, ".") > 1 {
		return ", with a decimal point and without a separator of thousands"
	}
	return ""
}
