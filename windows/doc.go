// Package windows is stage one, and the merge in front of stage two: events go in, sealed parts of windows come out.
package windows
