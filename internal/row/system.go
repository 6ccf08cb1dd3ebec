package row

import "time"

// SystemFact is a row of system: one fact of the host.
type SystemFact struct {
	Group  string `json:"swab.fact.group" csv:"Group"` // Operating system, Kernel, Hardware …
	Name   string `json:"swab.fact.name" csv:"Name"`
	Value  string `json:"swab.fact.value" csv:"Value"`
	Source string `json:"swab.source" csv:"Source"`
}

// ClockReading is a row of clock.
type ClockReading struct {
	Name    string    `json:"swab.clock.name" csv:"Clock"`
	Time    time.Time `json:"swab.clock.time,omitzero" csv:"Time"` // of clocks that tell the time of day
	Seconds float64   `json:"swab.clock.seconds,omitzero" csv:"Seconds"`
	Value   string    `json:"swab.clock.value,omitzero" csv:"Value"`
	Source  string    `json:"swab.source" csv:"Source"`
}
