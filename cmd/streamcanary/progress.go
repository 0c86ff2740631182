package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"

	"streamcanary/schemas"
)

// progress says how far long work has come.
type progress struct {
	done, total int64 // bytes; total 0: unknown
	events      int64
	reachedMs   int64 // event time
}

// progressBar shows progress on one line of a terminal; elsewhere it is silent.
type progressBar struct {
	out     io.Writer // nil: silent
	began   time.Time
	shown   time.Time
	visible bool
}

// progressEvery is how often the line changes at most.
const progressEvery = 200 * time.Millisecond

func newProgress(w io.Writer) *progressBar {
	b := &progressBar{began: time.Now()}
	if canRewrite(w) {
		b.out = w
	}
	return b
}

func isTerminal(w io.Writer) bool {
	f, is := w.(*os.File)
	return is && isatty.IsTerminal(f.Fd())
}

// canRewrite says whether what was written can be changed again: on a terminal that knows how.
func canRewrite(w io.Writer) bool { return isTerminal(w) && os.Getenv("TERM") != "dumb" }

func (b *progressBar) show(p progress) {
	now := time.Now()
	if b.out == nil || now.Sub(b.shown) < progressEvery {
		return
	}
	b.shown, b.visible = now, true
	percent := "  ?"
	if p.total > 0 {
		percent = fmt.Sprintf("%3d", 100*p.done/p.total)
	}
	rate := float64(p.events) / max(now.Sub(b.began).Seconds(), 1e-3)
	fmt.Fprintf(b.out, "\r\x1b[K%s %%  %d events, %.0f/s, at %s", percent, p.events, rate, schemas.Time(p.reachedMs))
}

// clear takes the line away so that something else can be printed.
func (b *progressBar) clear() {
	if b.visible {
		fmt.Fprint(b.out, "\r\x1b[K")
		b.visible = false
	}
}

func (b *progressBar) done() { b.clear() }
