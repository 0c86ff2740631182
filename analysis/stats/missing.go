package stats

// MissingIncrement is the log e-value of a block's counts of events against a canary that gets its planned share of them: the
// exposures Nc and Nb are the planned shares, pi and 1 - pi, and the counts Kc and Kb all events seen of the arms, late ones too. It
// is Linear's at Rho0 = 1, Delta = 0, Side -1 with one bet, e^-3: the canary has a twentieth of its events or none.
//
// Claim. Conditional mean at most 1 while the canary's expected count per share is at least the baseline's. A silent canary pays Kb log(1 + 0.95
// pi/((1-pi+0.05 pi) phi)), about 0.95 pi Kb / phi.
//
// When. For counts over-dispersed as a negative binomial with variance at most phi times the mean; phi is that of the sizes (Dispersion.AddSizes).
//
// Cost: Linear's for one point; no allocation.
//
// Conventions: 0 when a share is 0, and of an empty block. NaN panics in shares, counts and phi, and so does an infinite phi.
//
// Source: derived here, as Linear, where the proof stands.
func MissingIncrement(events Counts, phi float64) float64 {
	var inc [1]float64
	missingTest.Increments(inc[:], events, phi, phi)
	return inc[0]
}

var missingTest = Linear{Rho0: 1, Side: -1, Grid: []float64{3}}.Prepared()
