package main

import (
	"fmt"
	"io"

	"streamcanary/schemas"
)

// printSkew writes how the canary's scores online differ from those offline; nothing where that isn't known.
func printSkew(w io.Writer, s *schemas.Skew) {
	if s == nil {
		return
	}
	if s.Online == 0 {
		fmt.Fprintf(w, "scores online against offline: no prediction of the canary had a score yet; %d offline\n", s.Offline)
		return
	}
	since := ""
	if s.Proven && s.Since != 0 {
		since = ", since " + s.Since.String()
	}
	fmt.Fprintf(w, "scores online against offline (nothing is decided by it): %s, %s by the usual reading%s; %d online, %d offline\n", s, psiReading(s.PSI), since, s.Online, s.Offline)
}

// skewLine is what a decision proves of scores, on a line below its sentence; nothing where that is nothing, or stands in the sentence.
func skewLine(indent string, d *schemas.Decision) string {
	s := d.Reason.Skew
	if s == nil || !s.Proven || d.Action == schemas.ActionRollForward {
		return ""
	}
	return fmt.Sprintf("%sscores online differ from those offline (%s)\n", indent, s)
}

// psiReading is the usual reading of a population stability index.
func psiReading(psi float64) string {
	switch {
	case psi > schemas.PSIMuch:
		return "much"
	case psi > schemas.PSISome:
		return "some"
	}
	return "little"
}
