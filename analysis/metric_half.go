package analysis

import "streamcanary/windows"

// halfMetric keeps the histogram of the baseline's first calibration slice, which is half of it: what a histogram is held against
// where the baseline is compared with itself. The canary's cell stays empty.
type halfMetric struct {
	windows.Metric // that of the whole histogram
	values         windows.Rows
}

func newHalfMetric(whole windows.Metric) *halfMetric { return &halfMetric{Metric: whole} }

func (m *halfMetric) Key() string { return m.Metric.Key() + "/half" }

func (m *halfMetric) Keeps() windows.Keep { return windows.KeepHist | windows.KeepSlices }

func (m *halfMetric) Reduce(rows windows.Rows, cell *windows.Cell) {
	before := cell.N
	m.Metric.Reduce(m.half(rows), cell)
	if rows.Slice != nil {
		cell.Slices[0].N += cell.N - before
	}
}

// half is the rows of slice 0, in memory that is used again.
func (m *halfMetric) half(rows windows.Rows) windows.Rows {
	v := &m.values
	for len(v.Values) < len(rows.Values) {
		v.Values = append(v.Values, nil)
	}
	v.Latency, v.Flags, v.Len, v.Arm, v.Tally = v.Latency[:0], v.Flags[:0], 0, rows.Arm, rows.Tally
	for name := range v.Values {
		v.Values[name] = v.Values[name][:0]
	}
	for i, slice := range rows.Slice {
		if slice != 0 {
			continue
		}
		if rows.Latency != nil {
			v.Latency = append(v.Latency, rows.Latency[i])
		}
		if rows.Flags != nil {
			v.Flags = append(v.Flags, rows.Flags[i])
		}
		for name := range rows.Values {
			v.Values[name] = append(v.Values[name], rows.Values[name][i])
		}
		v.Len++
	}
	return *v
}
