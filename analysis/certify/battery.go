package certify

import "slices"

// Battery lists every experiment, in the order of the report. The full one takes hours of processor time; `streamcanary certify --runs` or a
// choice of worlds takes less.
func Battery() []Experiment {
	return slices.Concat(
		typeOneExperiments(), falsePassExperiments(), harmExperiments(), delayExperiments(), tailExperiments(),
		onsetExperiments(), gridExperiments(), patienceExperiments(), gaugeExperiments(), mixExperiments(), trafficExperiments(),
		scoreExperiments(), limitExperiments(), segmentExperiments(), mixedExperiments(), stagedExperiments(),
	)
}
