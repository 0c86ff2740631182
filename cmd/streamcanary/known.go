package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
)

// A known message is a foreign one, which nobody obeys, and that somebody has looked into. It stays what it is, and is told of each time; it only is no news.
type known struct {
	sha256 string // of its bytes
	note   string // what is known of it
	line   int    // of the file
	found  bool   // in the log, as it is known
}

// acknowledged are the messages of a file, by their number in the stream.
type acknowledged struct {
	path     string
	messages map[uint64]*known
	counted  int // found so far
}

// knownFlag adds the flag that names their file.
func knownFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "known", "", "the `FILE` of foreign messages that were looked into, and don't count")
}

// readKnown reads a file of known messages: on each line the message's number, the SHA-256 of its bytes, and a note; # begins a comment. "": none are known.
func readKnown(path string) (acknowledged, error) {
	k := acknowledged{path: path, messages: map[uint64]*known{}}
	if path == "" {
		return k, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return k, wrongUse{fmt.Errorf("read known messages: %w", err)}
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		if err := k.line(n, lines.Text()); err != nil {
			return k, wrongUse{fmt.Errorf("%s:%d: %w", path, n, err)}
		}
	}
	if err := lines.Err(); err != nil {
		return k, wrongUse{fmt.Errorf("read known messages of %s: %w", path, err)}
	}
	return k, nil
}

// errNotKnown says what a line is to be, and shows nothing of what stands there: who names the wrong file by mistake may have named one with a secret.
var errNotKnown = errors.New("it names no message (what stands there isn't shown): want its number and the SHA-256 of its bytes, 64 digits of lower-case hex, as `decisions verify` prints them, and a note")

func (k *acknowledged) line(n int, text string) error {
	text, _, _ = strings.Cut(text, "#")
	words := strings.Fields(text)
	if len(words) == 0 {
		return nil
	}
	if len(words) == 1 {
		return errNotKnown
	}
	sequence, err := strconv.ParseUint(words[0], 10, 64)
	if err != nil {
		return errNotKnown
	}
	if sum, err := hex.DecodeString(words[1]); err != nil || len(sum) != 32 || strings.ToLower(words[1]) != words[1] {
		return errNotKnown
	}
	if first := k.messages[sequence]; first != nil {
		return fmt.Errorf("it names the message of line %d once more: leave one of the two", first.line)
	}
	k.messages[sequence] = &known{sha256: words[1], note: strings.Join(words[2:], " "), line: n}
	return nil
}

// take completes a finding of a foreign message, and reports whether it is one that is known, to the byte.
func (k *acknowledged) take(f *aFinding, l *bus.Logged) bool {
	f.Sha256 = decisions.BodySha256(l.Signed.Body)
	m := k.messages[l.Sequence]
	switch {
	case m == nil:
		return false
	case m.sha256 != f.Sha256:
		f.Why += fmt.Sprintf("; %s knows message %d with other bytes (SHA-256 %s)", k.path, l.Sequence, m.sha256)
		return false
	}
	m.found = true
	k.counted++
	f.Known, f.Note = true, m.note
	return true
}

// stale says which messages of the file are not in a log that was read whole, as they are known.
func (k *acknowledged) stale(w io.Writer) {
	for _, sequence := range slices.Sorted(maps.Keys(k.messages)) {
		if !k.messages[sequence].found {
			fmt.Fprintf(w, "%s knows message %d, which the log hasn't got as a foreign one with these bytes (any more): take it out\n", k.path, sequence)
		}
	}
}

// text says how many were found; "": none.
func (k *acknowledged) text() string {
	if k.counted == 0 {
		return ""
	}
	return fmt.Sprintf("messages that are known to be foreign, by %s, and are not counted: %d", k.path, k.counted)
}
