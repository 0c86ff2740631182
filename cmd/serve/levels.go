package serve

import (
	"github.com/rs/zerolog"

	"streamcanary/schemas"
)

// levelOf is how loud the log is: what is critical waits for somebody to do something.
func levelOf(s schemas.Severity) zerolog.Level {
	switch s {
	case schemas.Info:
		return zerolog.InfoLevel
	case schemas.Critical:
		return zerolog.ErrorLevel
	case schemas.Warning:
	}
	return zerolog.WarnLevel
}

// levelOfDecision is levelOf, but for rollbacks: one is carried out, so it is no error, and yet nobody may miss it.
func levelOfDecision(d *schemas.Decision) zerolog.Level {
	if d.Action == schemas.ActionRollback {
		return zerolog.WarnLevel
	}
	return levelOf(d.Severity)
}
