// Package action is the life of a machine action, and the only writer of its
// state.
//
// An action asks for one investigation package of one device. It is Pending from
// the moment its caller is answered, InProgress from the moment the device has
// acknowledged it, and then ends, once and for ever, as Succeeded, Failed,
// TimeOut or Cancelled. A device has at most one action that has not ended.
//
// # Attempts
//
// An action has attempts, numbered here. An attempt is offered until the device
// acknowledges it (and is offered again as often as it takes), then runs. What
// an agent had read is in its memory: if the agent was restarted, or the upload
// it was sending is gone, the attempt is dead and the next one is offered. At
// most one attempt is ever sealed. Whatever arrives from an attempt that is not
// the current one is dropped.
//
// # Permission and proof
//
// An operation takes its caller and asks for the permission first. Every
// operation that does something, or is refused, is an entry in the tenant's
// audit log: a deed in the transaction that does it, a refusal in one of its own.
// If the entry can't be written the operation does not happen.
//
// # Time
//
// Each action that has not ended has a moment at which it is due; the sweep ends
// those whose moment has come. A pending action is due after Times.Pending; a
// running one after Times.Idle without acknowledged progress, and after
// Times.Total at the latest.
package action
