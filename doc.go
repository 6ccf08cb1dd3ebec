// Package swab is the map of the house.
//
// Swab takes investigation packages from devices: one HTTP call in the form of
// Microsoft Defender for Endpoint's collectInvestigationPackage, and a device
// hands over a signed ZIP of what is running, connected, persisted, logged and
// installed on it. One collection's way through the rooms:
//
//	client ──POST collect──▶ api ──▶ action ──one transaction──▶ store   action, active-action index, audit entry
//	                          │ 201            │ committed
//	                          ▼                ▼
//	                        client           bus ──wake──▶ gateway ──WebSocket──▶ agent   checks the proof, remembers it, obeys
//	                                                                                │
//	client ◀──link── api ◀── vault ◀──verify, seal── gateway ◀──upload── evidence ◀─┴─ collect
//
// There are five floors. A package imports only floors below it; on the ground
// and in the core also its own floor, without circles. repo_test.go keeps it so.
//
//	cmd/swab, cmd/swab-agent   settings, wiring, exit codes
//	internal/server            puts the rooms together for one process
//	internal/quickstart        the whole road on one machine
//
//	the doors, each speaking one protocol
//	internal/api               the HTTP API
//	internal/issuer            the token endpoints, and the pages on which people sign in
//	internal/federation        keys of other issuers
//	internal/manual            the description of the API, for people and programs
//	internal/gateway           device connections and uploads, server side
//	internal/agent             the same conversation, device side
//	internal/cli               commands for people
//	internal/store             SQL
//	internal/bus               wake a device
//
//	the core, which knows no protocol, no SQL, no HTTP
//	internal/action            the life of a machine action
//	internal/fleet             devices as people see them: tags, values, who had an address
//	internal/access            who may come in: what administrators do
//	internal/auth              who may do what
//	internal/signin            how people sign in
//	internal/vault             where packages lie
//	internal/retention         how long they are kept, and legal holds
//	internal/collect           the engine of collection; host and linux below it
//
//	the ground, pure
//	internal/fault             error codes
//	internal/canon, dsse       canonical JSON, signed envelopes
//	internal/dpop              proofs of a device's key
//	internal/catalog           what can be asked of a device
//	internal/device            identity and facts
//	internal/keys              the server's keys
//	internal/row               the rows of tables
//	internal/evidence          the package format
//	internal/parse             readers of on-disk formats
//	internal/wire              messages between device and server
//	internal/audit             the Merkle log
//	internal/odata             the query of a list: text to tree
//	internal/origin            which base URL and which address a request came by
//	internal/command           commands: flags, environment, file
//	internal/limit             how many calls a caller may make
//	internal/credential        what a person proves themselves by
//	internal/accessfile        who may do what, as a file that is applied
//
//	client                     the public Go client
//	api                        the description of the API (OpenAPI); contract below it holds answers against it
package swab
