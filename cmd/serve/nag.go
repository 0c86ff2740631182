package serve

import "time"

// A nag keeps what happens again and again from filling the log: it is due when it is new, or was said a minute ago. One goroutine uses it.
type nag struct {
	text string
	at   time.Time
}

// nagEvery is how often the log says the same.
const nagEvery = time.Minute

// due reports whether an error is to be said now.
func (n *nag) due(err error) bool {
	if text := err.Error(); text != n.text || time.Since(n.at) >= nagEvery {
		n.text, n.at = text, time.Now()
		return true
	}
	return false
}

// over forgets what was said: it is past. It reports whether anything was.
func (n *nag) over() bool {
	said := n.text != ""
	*n = nag{}
	return said
}
