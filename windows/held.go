package windows

// Held is how many events of partition p are held aside until others confirm them.
func (s *Stage) Held(p int) int { return len(s.sources[p].held) }
