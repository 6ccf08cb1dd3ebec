package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"swab/internal/fault"
)

// ErrOffset is the cause where a chunk does not begin where the upload ends.
var ErrOffset = errors.New("the chunk does not begin at the upload's offset")

// ErrTakenOver is the cause that ends a writer when a newer one came.
var ErrTakenOver = errors.New("a newer request took the upload over")

// flushEvery bounds the bytes that a broken connection or a crash costs.
const flushEvery = 8 << 20

// storeWithin bounds the time to keep what has arrived when its request is gone.
const storeWithin = 30 * time.Second

// live is an upload that receives, or awaits its verdict, in this process.
type live struct {
	turn   chan struct{} // holds a token while somebody writes
	follow follower

	mu   sync.Mutex
	last context.CancelCauseFunc // of the newest writer
}

// take makes cancel that of the newest writer and ends the one before it.
func (l *live) take(cancel context.CancelCauseFunc, why error) {
	l.mu.Lock()
	before := l.last
	l.last = cancel
	l.mu.Unlock()
	if before != nil {
		before(why)
	}
}

// livingOf returns the upload's state in this process.
func (v *Vault) livingOf(u Upload) *live {
	v.mu.Lock()
	defer v.mu.Unlock()
	l, ok := v.live[u.ID]
	if !ok {
		l = &live{turn: make(chan struct{}, 1)}
		l.follow.init(v, u)
		v.live[u.ID] = l
	}
	return l
}

// forget drops an upload's state in this process and ends its writer.
func (v *Vault) forget(id string, why error) {
	v.mu.Lock()
	l, ok := v.live[id]
	delete(v.live, id)
	v.mu.Unlock()
	if ok {
		l.take(nil, why)
		l.follow.stop(why)
	}
	v.release(id)
}

// Writer is the right to add bytes to an upload, which one at a time has. It
// lives within one request.
type Writer struct {
	v      *Vault
	l      *live
	u      Upload
	ctx    context.Context // ends when the caller's does, or when a newer writer comes
	cancel context.CancelCauseFunc
}

// Write makes the caller the one writer of an upload. Whoever writes is told to
// stop, and what has arrived of its chunk is kept first: a device whose
// connection broke need not wait until the server notices. The writer has to be
// closed.
func (v *Vault) Write(ctx context.Context, id string) (*Writer, error) {
	u, err := v.records.Upload(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := receives(u); err != nil {
		return nil, err
	}
	l := v.livingOf(u)
	ctx, cancel := context.WithCancelCause(ctx)
	l.take(cancel, ErrTakenOver)
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		cancel(nil)
		return nil, fmt.Errorf("wait for upload %s: %w", id, context.Cause(ctx))
	}
	w := &Writer{v: v, l: l, ctx: ctx, cancel: cancel}
	// What the record says now: the writer before may have moved it on.
	if w.u, err = v.records.Upload(ctx, id); err == nil {
		err = receives(w.u)
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

func receives(u Upload) error {
	switch u.State {
	case Receiving:
		return nil
	case Deleted:
		return fault.NotFound.Errorf(nil, "There is no such upload")
	}
	return fault.BadRequest.Errorf(nil, "The upload is %s and takes no more bytes", u.State)
}

// Context ends when the writer has to stop. Whoever reads for it must stop then.
func (w *Writer) Context() context.Context { return w.ctx }

// Upload is the upload as the writer found it, or as the last Append left it.
func (w *Writer) Upload() Upload { return w.u }

// Close gives the right back.
func (w *Writer) Close() {
	w.cancel(nil)
	<-w.l.turn
}

// Append adds the bytes of r at offset, which must be the upload's. length is
// the whole upload's, or -1 where it is not known yet; once known it stays. What
// was read before r failed is kept, and the error then is r's. Bytes beyond the
// length or limit are not taken: fault.TooLarge. An upload that has all its
// bytes is Complete.
func (w *Writer) Append(offset, length int64, r io.Reader) (Upload, error) {
	u := w.u
	switch {
	case offset != u.Offset:
		return u, fault.BadRequest.Errorf(ErrOffset, "The upload is at %d, not at %d", u.Offset, offset)
	case length >= 0 && u.Length >= 0 && length != u.Length:
		return u, fault.BadRequest.Errorf(nil, "The upload's length is %d, not %d", u.Length, length)
	case length >= 0 && length < u.Offset:
		return u, fault.BadRequest.Errorf(nil, "The upload has %d bytes already, more than its length", u.Offset)
	case length > u.Limit:
		return u, fault.TooLarge.Errorf(nil, "An upload may have %d bytes at most", u.Limit)
	}
	if length >= 0 {
		w.u.Length = length
	}
	f, err := w.v.dir.resume(partName(u), u.Offset)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errLost) {
		return u, w.lost(err)
	}
	if err != nil {
		return u, w.v.unable(w.ctx, u, err)
	}
	err = w.fill(f, r)
	if cerr := f.Close(); err == nil && cerr != nil {
		err = w.v.unable(w.ctx, u, cerr)
	}
	return w.u, err
}

// fill writes r's bytes, flushing now and then, and what is left at its end.
func (w *Writer) fill(f *os.File, r io.Reader) error {
	buf := w.v.buffers.Get().(*[]byte)
	defer w.v.buffers.Put(buf)
	most := w.u.Limit
	if w.u.Length >= 0 {
		most = w.u.Length
	}
	at := w.u.Offset
	for {
		n, rerr := r.Read(*buf)
		if int64(n) > most-at {
			return fault.TooLarge.Errorf(nil, "The upload has more than the %d bytes it may have", most)
		}
		if _, err := f.WriteAt((*buf)[:n], at); err != nil {
			return w.v.unable(w.ctx, w.u, err)
		}
		at += int64(n)
		if rerr != nil || at-w.u.Offset >= flushEvery {
			if err := w.flush(f, at); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(rerr, io.EOF):
			return nil
		case rerr != nil:
			return w.ended(rerr)
		}
	}
}

// ended is why the reading ended with err: because the writer was told to stop,
// or by itself.
func (w *Writer) ended(err error) error {
	if why := context.Cause(w.ctx); errors.Is(why, ErrTakenOver) || errors.Is(why, errSettled) {
		return why
	}
	return err
}

// flush makes the bytes up to end durable and then moves the offset. It does so
// even if the request has gone meanwhile: the bytes are here, and what is kept
// need not be sent again.
func (w *Writer) flush(f *os.File, end int64) error {
	complete := w.u.Length >= 0 && end == w.u.Length
	if end == w.u.Offset && (!complete || w.u.State == Complete) {
		return nil // there is nothing new to say
	}
	if err := f.Sync(); err != nil {
		return w.v.unable(w.ctx, w.u, err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), storeWithin)
	defer cancel()
	length := w.u.Length
	u, err := w.v.records.ChangeUpload(ctx, w.u.ID, func(u Upload) (Upload, error) {
		if err := receives(u); err != nil {
			return u, err
		}
		u.Offset, u.Length, u.Updated = end, length, w.v.now()
		if complete {
			u.State = Complete
		}
		return u, nil
	})
	if err != nil {
		return fmt.Errorf("keep the offset of upload %s: %w", w.u.ID, err)
	}
	w.u = u
	if complete {
		w.v.release(u.ID)
	}
	w.l.follow.flushed(end)
	return nil
}

// lost gives up an upload whose acknowledged bytes are not there any more: its
// attempt can't be resumed, and the device has to be told so.
func (w *Writer) lost(cause error) error {
	w.v.log.ErrorContext(w.ctx, "acknowledged bytes of an upload are missing", "upload", w.u.ID, "action", w.u.Action, "device", w.u.Device, "err", cause)
	// Deleting ends the writer, which must not end the deleting.
	if err := w.v.Delete(context.WithoutCancel(w.ctx), w.u.ID, "its bytes were lost"); err != nil {
		return err
	}
	return fault.NotFound.Errorf(cause, "The upload's bytes were lost; begin another one")
}
