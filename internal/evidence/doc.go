// Package evidence is the package format: what writes it, what reads it, and
// what judges it.
package evidence
