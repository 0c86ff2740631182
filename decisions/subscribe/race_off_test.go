//go:build !race

package subscribe

// underRace: the race detector makes everything about ten times slower.
const underRace = false
