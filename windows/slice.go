package windows

import "github.com/cespare/xxhash/v2"

// SliceOf is the calibration slice that a routing unit of the baseline belongs to, from 0 to Slices-1: slice i holds 2^-(i+1) of the units.
func SliceOf(unit string) int { return sliceOfHash(UnitOf(unit)) }

// UnitOf is the hash that a routing unit is known by.
func UnitOf(unit string) uint64 { return xxhash.Sum64String(unit) }
