package windows

// floorDiv divides and rounds towards minus infinity; b > 0.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// floorTo returns the start of the window that holds a time; width > 0. Right for negative times, too.
func floorTo(ms, width int64) int64 { return floorDiv(ms, width) * width }

// ceilTo returns the first start of a window at or after a time.
func ceilTo(ms, width int64) int64 { return -floorTo(-ms, width) }
