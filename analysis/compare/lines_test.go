package compare

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	tests := []struct {
		name, in string
		want     [][]field
		wantErr  string
	}{
		{"commas", "a,b\n1,2\n", [][]field{{{"a", 1}, {"b", 3}}, {{"1", 1}, {"2", 3}}}, ""},
		{"no end of line at the end", "a,b\n1,2", [][]field{{{"a", 1}, {"b", 3}}, {{"1", 1}, {"2", 3}}}, ""},
		{"byte order mark, line ends of Windows, empty lines, spaces", "\ufeffa, b\r\n\r\n  \n1 ,2\r\n", [][]field{{{"a", 1}, {"b", 3}}, {{"1", 1}, {"2", 4}}}, ""},
		{"empty fields, the last one too", "a,b,c\n,,\n", [][]field{{{"a", 1}, {"b", 3}, {"c", 5}}, {{"", 1}, {"", 2}, {"", 3}}}, ""},
		{"quotes: separators and quotes within", "a,b\n\"1,\"\"x\"\"\" ,\"\"\n", [][]field{{{"a", 1}, {"b", 3}}, {{`1,"x"`, 1}, {"", 12}}}, ""},
		{"quotes behind spaces", "a,b\n1,  \"2\"\n", [][]field{{{"a", 1}, {"b", 3}}, {{"1", 1}, {"2", 5}}}, ""},
		{"as many semicolons as commas: commas", "a;b,c\n1;2,5\n", [][]field{{{"a;b", 1}, {"c", 5}}, {{"1;2", 1}, {"5", 5}}}, ""},
		{"semicolons, more of them than commas", "a;b;c,d\n1,5;2;3\n", [][]field{{{"a", 1}, {"b", 3}, {"c,d", 5}}, {{"1,5", 1}, {"2", 5}, {"3", 7}}}, ""},
		{"tabs", "a\tb\n1\t2,5\n", [][]field{{{"a", 1}, {"b", 3}}, {{"1", 1}, {"2,5", 3}}}, ""},
		{"a quote that isn't closed", "a,b\n1,\"2\n", [][]field{{{"a", 1}, {"b", 3}}}, "f.csv:2:3: the quote is not closed on its line"},
		{"text behind a quote", "a,b\n\"1\"x,2\n", [][]field{{{"a", 1}, {"b", 3}}}, "f.csv:2:4: something stands behind the closing quote: put a separator there"},
		{"UTF-16, as Excel and PowerShell write it", "\xff\xfea\x00,\x00b\x00\n\x00", nil, "f.csv:1: this is text in UTF-16, or no text: save it as UTF-8 (PowerShell: Export-Csv -Encoding utf8)"},
		{"carriage returns alone", "a,b\r1,2\r", nil, "f.csv:1: lines end in a carriage return alone: save the file with line feeds"},
		{"a line without end", strings.Repeat("x", lineMost), nil, "f.csv:1: the line has more than 65536 bytes: is this a CSV file?"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLines("f.csv", strings.NewReader(tt.in))
			var got [][]field
			var err error
			for {
				if err = l.next(); err != nil {
					break
				}
				got = append(got, append([]field(nil), l.fields...))
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			if !reflect.DeepEqual(got, tt.want) || text(err) != tt.wantErr {
				t.Errorf("%v, %q, want %v, %q", got, text(err), tt.want, tt.wantErr)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestReadTime(t *testing.T) {
	tests := []struct {
		in     string
		wantMs int64
		want   timing
		wantOK bool
	}{
		{"0", 0, timingNumber, true},
		{"17", 17_000, timingNumber, true},
		{"0.25", 250, timingNumber, true},
		{"1760000400", 1760000400000, timingSeconds, true},
		{"1760000400.781", 1760000400781, timingSeconds, true},
		{"1.76000040e9", 1760000400000, timingSeconds, true},
		{"1760000400000", 1760000400000, timingMillis, true},
		{"2025-10-09T09:00:00Z", 1760000400000, timingText, true},
		{"2025-10-09T11:00:00.5+02:00", 1760000400500, timingText, true},
		{"2025-10-09 09:00:00", 1760000400000, timingText, true},
		{"2025-10-09 09:00:00.25+00:00", 1760000400250, timingText, true},
		{"2025-10-09 09:00", 1760000400000, timingText, true},
		{"2025-10-09", 1759968000000, timingText, true},
		{"", 0, timingUnknown, false},
		{"-1", 0, timingUnknown, false},
		{"NaN", 0, timingUnknown, false},
		{"Inf", 0, timingUnknown, false},
		{"1e300", 0, timingUnknown, false},
		{"monday", 0, timingUnknown, false},
		{"2025-13-09", 0, timingUnknown, false},
		{"09/10/2025", 0, timingUnknown, false},
	}
	for _, tt := range tests {
		if ms, how, ok := readTime(tt.in); ms != tt.wantMs || how != tt.want || ok != tt.wantOK {
			t.Errorf("readTime(%q) = %d, %d, %v, want %d, %d, %v", tt.in, ms, how, ok, tt.wantMs, tt.want, tt.wantOK)
		}
	}
}
