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
	since := ""
	if s.Proven && s.Since != 0 {
		since = " since " + s.Since.String()
	}
	fmt.Fprintf(w, "scores online against offline: %s%s (%s; PSI is for the eye, and neither decides anything); %d online, %d offline\n", s, since, psiReading(s.PSI), s.Online, s.Offline)
}

// psiReading is the usual reading of a population stability index.
func psiReading(psi float64) string {
	switch {
	case psi > schemas.PSIMuch:
		return "much has changed, by the usual reading"
	case psi > schemas.PSISome:
		return "some has changed, by the usual reading"
	}
	return "little has changed, by the usual reading"
}
