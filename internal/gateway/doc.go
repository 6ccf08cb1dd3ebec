// Package gateway is the server's side of the conversation with devices:
// enrolment, tokens, the channel, uploads.
//
//	POST  /enroll                a new key becomes a device (RFC 7591)
//	POST  /device/token          its assertion becomes an access token (RFC 7523)
//	POST  /device/key            its next key takes the place of the present one
//	GET   /device/channel        WebSocket: the messages of package wire
//	POST  /device/uploads        begins an upload (tus 1.0: creation, deferred length)
//	HEAD  /device/uploads/{id}   says where it is
//	PATCH /device/uploads/{id}   adds a chunk
//
// # Trust
//
// Each request proves the device's key (RFC 9449, DPoP): the proof names method
// and URL, the hash of the access token that goes with it, and the server's own
// nonce in place of the device's time, which may be years off. A proof is taken
// once. A message or an upload is of the device whose key opened it, never of an
// id that it names; what names another device's action is refused, logged and
// an entry in the audit log. The device's record is read at each request, so
// that a revoked device, or a superseded key, is out at once.
//
// Nothing is believed that a peer could forge: no Host, no forwarded address, no
// URL that is not one of the configured base URLs.
//
// # What an idle device costs
//
// An idle device holds its TLS state and a small struct: no goroutine, no timer,
// no buffer. On Linux one goroutine waits for all of them (epoll), a goroutine
// serves a connection only while it is readable, one wheel sends all pings.
// Elsewhere each connection has a goroutine that is blocked in Read. [Listen]
// makes the difference: it wraps the connections below TLS.
//
// # Losing nothing
//
// A wake-up and a message only lead to a look into the store. What a device was
// offered is offered again until it answers; what ended while it was away it
// learns from the answer to its hello; a complete upload whose verdict a crash
// took is verified again by [Gateway.Sweep].
package gateway
