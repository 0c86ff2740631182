package schemas

import "strings"

// Nearest returns the known word that is likest to a misspelt one, or "" if none is near: what errors about names a person
// wrote suggest.
func Nearest(word string, known []string) string { return nearest(word, known) }

// nearest returns the known word that is likest to a misspelt one, else one that begins with it, or "" if none is
// near. Of two that are equally near, the first in order of known wins.
func nearest(word string, known []string) string {
	best, least := "", max(2, len(word)/3)+1
	for _, k := range known {
		if d := distance(word, k, least); d < least && d < max(len(k), 1) {
			best, least = k, d
		}
	}
	for _, k := range known {
		if best == "" && len(word) >= beginning && strings.HasPrefix(strings.ToLower(k), strings.ToLower(word)) {
			best = k
		}
	}
	return best
}

// beginning is how many letters say what a word will be.
const beginning = 3

// wordsCompared bounds the length of words that are compared: longer ones are near nothing.
const wordsCompared = 128

// distance is the number of letters to insert, drop, change or swap with their neighbour (Damerau's, restricted), case
// apart. Whatever is not less than limit may be returned as limit.
func distance(a, b string, limit int) int {
	if len(a) > wordsCompared || len(b) > wordsCompared || max(len(a)-len(b), len(b)-len(a)) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if lower(a[i-1]) == lower(b[j-1]) {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && lower(a[i-1]) == lower(b[j-2]) && lower(a[i-2]) == lower(b[j-1]) {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
