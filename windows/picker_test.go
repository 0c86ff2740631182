package windows

import (
	"testing"

	"streamcanary/schemas"
)

func TestGlob(t *testing.T) {
	for _, row := range []struct {
		pattern, text string
		want          bool
	}{
		{"base-1", "base-1", true}, {"base-1", "base-12", false}, {"base-1", "Base-1", false}, {"base-1", "a-base-1", false},
		{"base-*", "base-", true}, {"base-*", "base-7", true}, {"base-*", "a-base-7", false}, {"base-*", "base", false},
		{"*-eu", "a-eu", true}, {"*-eu", "-eu", true}, {"*-eu", "a-eu-1", false},
		{"*", "anything/at all", true}, {"**", "x", true}, {"a**b", "ab", true},
		{"*b*", "abc", true}, {"*b*", "b", true}, {"*b*", "ac", false},
		{"a*b*c", "abc", true}, {"a*b*c", "a1b2c", true}, {"a*b*c", "acb", false}, {"a*b*c", "abcb", false},
		{"a*a", "a", false}, {"a*a", "aa", true}, // the same letter isn't both ends
		{"ab*bc", "abc", false}, {"*aa*aa*", "aaa", false}, {"*aa*aa*", "aaaa", true},
		{"*ab*b", "abb", true}, {"*ab*b", "ab", false},
		{"eu*", "eu/west/1", true},                  // a slash is a letter like any other
		{"p.d", "pod", false}, {"p.d", "p.d", true}, // a dot, too
		{"h\xf6st*", "h\xf6st1", true}, {"ä*", "äb", true}, {"ä*", "\xc3", false},
	} {
		if got := newGlob(row.pattern).fits([]byte(row.text)); got != row.want {
			t.Errorf("%q fits %q: %v, want %v", row.text, row.pattern, got, row.want)
		}
	}
}

func TestPicker(t *testing.T) {
	of := func(host, segment, region string) *schemas.Event {
		return &schemas.Event{Host: []byte(host), Segment: []byte(segment), Region: []byte(region)}
	}
	for _, row := range []struct {
		where schemas.Where
		event *schemas.Event
		want  bool
	}{
		{schemas.Where{}, of("", "", ""), true},
		{schemas.Where{Host: "base-*"}, of("base-1", "", ""), true},
		{schemas.Where{Host: "base-*"}, of("old-1", "base-1", "base-1"), false},
		{schemas.Where{Host: "*"}, of("", "web", "eu"), false}, // who has no host isn't on any
		{schemas.Where{Segment: "web"}, of("web", "ios", "web"), false},
		{schemas.Where{Segment: "web"}, of("", "web", ""), true},
		{schemas.Where{Region: "eu-*"}, of("eu-1", "eu-1", "us-1"), false},
		{schemas.Where{Region: "eu-*"}, of("", "", "eu-1"), true},
		{schemas.Where{Host: "base-*", Segment: "web", Region: "eu"}, of("base-1", "web", "eu"), true},
		{schemas.Where{Host: "base-*", Segment: "web", Region: "eu"}, of("base-1", "web", "us"), false}, // all must fit
		{schemas.Where{Host: "base-*", Segment: "web", Region: "eu"}, of("base-1", "ios", "eu"), false},
	} {
		p := newPicker(row.where)
		if got := p.fits(row.event); got != row.want {
			t.Errorf("%+v picks host %q, segment %q, region %q: %v, want %v", row.where, row.event.Host, row.event.Segment, row.event.Region, got, row.want)
		}
	}
}

func TestPickerAllocatesNothing(t *testing.T) {
	p := newPicker(schemas.Where{Host: "ranker-*-base-*", Segment: "*", Region: "eu-*"})
	e := &schemas.Event{Host: []byte("ranker-7c9f-base-a-long-name-of-a-pod-as-they-are-0"), Segment: []byte("web"), Region: []byte("eu-west-1")}
	if n := testing.AllocsPerRun(100, func() {
		if !p.fits(e) {
			t.Error("it doesn't fit")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
