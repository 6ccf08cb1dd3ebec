// Package row has the rows of tables: one type for each table, shared by all
// systems, so that a process or a socket has one shape everywhere.
//
// A field's json tag is its name in JSON Lines: Elastic Common Schema's where it
// has one, else of ours below "swab."; its csv tag is the heading for people ("-":
// not in the CSV); a dated tag names what happened at the time it holds, for the
// timeline. Each field says its unit and where it comes from. A field is a
// string, bool, number, time, address, list of strings, or a [Number] that may not
// be known.
package row
