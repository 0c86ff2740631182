// Package schemas holds the shapes that cross a border: events, rollouts, decisions, acknowledgements, the
// configuration, and what names and signs them. It reads no file, clock or network: bytes in, values out.
package schemas
