package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"streamcanary/analysis/certify"
)

// TestSeparated: a comma parts the names of experiments, and may stand in one.
func TestSeparated(t *testing.T) {
	battery := []certify.Experiment{{Group: "grid, healthy", Name: "1/s"}, {Group: "type-I", Name: "flat"}, {Group: "type-I, all on", Name: "flat"}}
	for _, test := range []struct {
		named []string
		want  []string
	}{
		{[]string{"type-I/flat,grid"}, []string{"type-I/flat", "grid"}},
		{[]string{"type-I, all on,grid, healthy"}, []string{"type-I, all on", "grid, healthy"}},
		{[]string{"type-I/flat, grid, healthy/1/s", "nothing"}, []string{"type-I/flat", "grid, healthy/1/s", "nothing"}},
	} {
		if got := separated(battery, test.named); !slices.Equal(got, test.want) {
			t.Errorf("%q chooses %q, want %q", test.named, got, test.want)
		}
	}
}

// TestBrokenIsNotPlanted: a mistake that was planted and not found out is no fault of the product, and is told as what it is.
func TestBrokenIsNotPlanted(t *testing.T) {
	kept := certify.Row{Group: "type-I", Experiment: "flat", Measure: "alarms", Method: "ours", Result: certify.Kept}
	missed := certify.Row{Group: "type-I", Experiment: "flat", Measure: "alarms", Method: "repeated z", Result: certify.Missed}
	broken := certify.Row{Group: "type-I", Experiment: "ramp", Measure: "alarms", Method: "ours", Result: certify.Broken}
	for _, test := range []struct {
		rows []certify.Row
		want string
	}{
		{[]certify.Row{kept, missed}, "type-I/flat: alarms of repeated z: a mistake that is planted to be found out was not"},
		{[]certify.Row{kept, missed, broken}, "2 of 3 rows do not keep what is promised, the first is type-I/ramp: alarms"},
	} {
		if err := brokenError(&certify.Report{Rows: test.rows}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("told %v, want %s", err, test.want)
		}
	}
	if err := brokenError(&certify.Report{Rows: []certify.Row{kept}}); err != nil {
		t.Error(err)
	}
}

// TestReplaceFile: a file is replaced as a whole; a pipe, as /dev/null, is written to and stays what it is.
func TestReplaceFile(t *testing.T) {
	text := func(w io.Writer) error {
		_, err := io.WriteString(w, "all of it")
		return err
	}
	name := filepath.Join(t.TempDir(), "table.md")
	for range 2 {
		if err := replaceFile(name, text); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(name); string(got) != "all of it" {
		t.Errorf("%q, %v", got, err)
	}
	if runtime.GOOS != "linux" {
		return // no name leads to a pipe that is open
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := errors.Join(replaceFile(fmt.Sprintf("/dev/fd/%d", w.Fd()), text), w.Close()); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); string(got) != "all of it" {
		t.Errorf("%q, %v", got, err)
	}
}
