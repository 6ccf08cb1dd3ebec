// Package api holds the description of Swab's public API, openapi.yaml
// (OpenAPI 3.1), for the server that shows it to people and programs.
//
// It says everything that a caller can meet: routes, parameters, bodies, and for
// each status what the answer holds. The tests of the rooms that answer hold each
// of their answers against it (package contract), so it can't part from what the
// server does. Its examples were real: a test sends each request again, and
// go generate writes what came of it.
//
// In examples the installation is at [Base], and its ids are made up.
package api

import _ "embed"

//go:generate go test swab/internal/api -run TestExamplesAreReal -update

// Base is the base URL of the installation in the document. Whoever shows the
// document puts another in its place.
const Base = "https://swab.example"

//go:embed openapi.yaml
var document string

// Document is the description, in YAML.
func Document() string { return document }
