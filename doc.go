// Package streamcanary is the root of the module: it holds no code, only the test that keeps the rules of this
// code base (policy_test.go). Read the folders in the order in which an event passes them: ingest, windows, analysis,
// decisions; schemas has the shapes that cross a border, cmd wires everything into one binary.
package streamcanary
