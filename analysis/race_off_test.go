//go:build !race

package analysis

// underRace: the race detector makes everything about ten times slower.
const underRace = false
