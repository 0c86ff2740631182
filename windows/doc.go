// Package windows is stage one, and the merge in front of stage two: decoded events go in, sealed parts of windows come out, and
// what is in a part is a function of the logs alone.
//
// A [Stage] takes the events of every source partition ([Stage.Add]) for every rollout ([Stage.SetPlan]), and hands out sealed
// parts ([Stage.Sealed]); a [Merger] adds the parts of one rollout's partitions up, and gives the sums out in one canonical
// order; a [Digest] runs over them. Between the two stands the journal: [EncodePart] and [DecodePart] are its bytes. What is
// counted is the business of a [Metric]. Everything here is synchronous: no clock, goroutine, network or log. A Stage, a Merger and a Digest
// belong to one goroutine each.
//
// # Rules
//
// A window starts at a multiple of its width, in event time. Per partition and kind of event there is a high, the highest event time read;
// a rollout's watermark is the high less its lateness.
//
//   - A partition's serving windows (predictions) and resource windows (samples) seal when its own watermark has passed their end. An event
//     of a sealed window is Late. A late prediction is counted, per arm and host, in the oldest open window, which
//     holds the watermark.
//   - A prediction is a Duplicate if a copy (same model, version, id and attempt; neither late nor other) is remembered in its partition:
//     until the watermark has passed that copy's window and the longest `within`. The first copy counts.
//   - An outcome counts for a prediction of its id (and version, where it names one) in any partition that was served and answered, from
//     `lateness` before it to `within` after it; of several for the highest attempt. It is resolved when every partition's predictions must have been
//     read by then: as the join is by set, it doesn't matter which came first. Up to a quarter of `within` and a lateness
//     later it is Outside, beyond that Unmatched. A prediction is counted once however many outcomes it has. Where a plan
//     has a cap, their values are added up, copies left out, and each prediction's sum counts up to the cap.
//   - Where a plan tells segments apart, a part counts them, too: those of the plan's list, or the smallest names of its window (of an outcomes part, of the
//     predictions that outcomes can follow). All others, and predictions without one, are the segment "".
//   - A serving part names the model's other versions that answered in its window, and their hosts: they are for people to look up, too, and a part with nothing else is a mark.
//   - Where a plan has exhibits, a part names a few predictions of the canary for each: of predictions those with the greatest ranks, of an outcome those that
//     have it, or lack it, in a small sample of the window. They are for people to look up; nothing is counted by them.
//   - The outcomes of a window seal for all partitions together, when no outcome for it can come or wait any more.
//   - An event that jumps more than MaxJumpMs ahead of its partition is held aside (rule 6 of the design). Confirming of them that agree, in steps of at
//     most MaxJumpMs, or that follow each other in time, and outnumber the partition's ordinary events since the first was held aside, are taken, and
//     what else is held is Invalid. As many ordinary ones, if they outnumber the held, make these Invalid; so does reaching MaxHeld. A partition's first
//     events are held aside until Beginning of them agree. What is held at the end of all logs is taken if it isn't ahead of what any partition has come
//     to. Where the broker's append time is known, an event that is more than MaxAheadMs ahead of it is refused, and none is held aside.
//   - Where a partition carries several kinds of events, and one of them hasn't come for MaxLagMs, its high follows the partition's highest
//     time at that distance.
//   - Where a plan asks for what health checks need, an event that can't be read or taken counts in the oldest open window of its partition, as a late one
//     does; but not for a rollout whose first window the partition hasn't come to, nor for one of another model than it names.
//   - There, too, an outcome counts by whether its prediction was found, in the window that holds its time less `within`: the first one that is sealed when it
//     must have been resolved. One whose id is that of a prediction under no arm of the rollout counts nowhere.
//   - [Stage.Idle] is the one ruling from outside. [Stage.Finish] ends all logs.
//
// Every event ends in exactly one [Class] of its kind; [Stage.Counts] adds them up.
//
// # Limits
//
// [Limits] bounds what is remembered; at a bound, the windows that may miss something carry Overflow, and [Stage.Stats] counts. Of predictions, the
// oldest eighth is forgotten shortly before the bound, so that the longest `within` suffers and not the newest events: of the windows from then, the parts that aren't sealed carry
// Overflow. A copy that has a new time, of a prediction that was forgotten before its time, is counted, and nothing says so. Where the predictions take half of the bound, those under no rollout aren't
// remembered any more, and outcomes that may be theirs are left out of the join gap. Ids, units and hosts are known by
// their 64-bit xxhash, unseeded: two ids collide by chance once in 2^64 pairs, but somebody who chooses ids can make them. A remembered
// prediction takes 40 to 50 bytes, twice that while the table grows; so does a sum of values, and an outcome whose value counts takes two such entries. Until
// the outcomes of a window are sealed, each of its segments takes 12 bytes in each partition that has seen it, 8 for each outcome and 32 for
// each whose values count. The samples that outcomes' exhibits draw from are bounded to some 16,000
// predictions that wait, in each partition. Units are listed up to [MaxUnits] an epoch, hosts up to [MaxHosts] a part.
//
// # Order to read
//
// part.go, metric.go, plan.go; then the way of an event: add.go, prediction.go, outcome.go, seal.go, with what they stand on (source.go,
// rollout.go, picker.go, window.go, rows.go, sums.go, segmentset.go, exhibit.go, index.go, joined.go, joinedsegments.go, sample.go, values.go, gap.go, queue.go); then merge.go, segment.go, journal.go, digest.go; last recovery.go, which
// says why a restart changes nothing.
package windows
