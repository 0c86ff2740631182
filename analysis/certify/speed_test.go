package certify

import "testing"

func BenchmarkVerdict(b *testing.B) {
	for _, w := range Worlds() {
		for _, s := range []Setting{atMargins, atAny, atAny.allOn()} {
			b.Run(w.Name+"/"+s.Name+"/draw", func(b *testing.B) {
				sc := w.make()
				t := NewTape(sc, s.rollout(w.Width, .05), sourceOf(1, 2))
				for b.Loop() {
					t.Next()
				}
			})
			b.Run(w.Name+"/"+s.Name+"/judge", func(b *testing.B) {
				sc := w.make()
				r := s.rollout(w.Width, .05)
				t := NewTape(sc, r, sourceOf(1, 2))
				j := judgeOf(r, 0)
				for b.Loop() {
					for _, p := range t.Next().Parts {
						j.Step(p)
					}
				}
			})
		}
	}
}
