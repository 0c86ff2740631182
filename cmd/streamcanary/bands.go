package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"streamcanary/schemas"
)

// printBands writes what each arm's own quantiles are, where there are any, and that nothing is decided by it.
func printBands(w io.Writer, bands []schemas.Band) error {
	if len(bands) == 0 {
		return nil
	}
	fmt.Fprintln(w, "\neach arm's own quantiles in the last hour at most, for display only: no decision stands on them")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := range bands {
		b := &bands[i]
		fmt.Fprintf(t, "  %s\tp%.6g of %s\t%s .. %s\t%d values since %s\n", b.Guardrail, 100*b.Quantile, b.Version,
			levelText(b.Unit, b.Lower, "-inf"), levelText(b.Unit, b.Upper, "inf"), b.N, sinceText(b.From, b.To))
	}
	return t.Flush()
}

// levelText is a value in its own unit; nil is written as none.
func levelText(unit string, x *float64, none string) string {
	switch {
	case x == nil:
		return none
	case unit == "ms":
		return fmt.Sprintf("%.4g ms", *x)
	}
	return fmt.Sprintf("%.4g", *x)
}
