package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"swab/internal/fault"
	"swab/internal/vault"
	"swab/internal/wire"
)

// The device's side of tus 1.0 (https://tus.io/protocols/resumable-upload): the
// core protocol with creation and creation-defer-length. Statuses beyond tus:
// 410 where the attempt or its upload is over and no byte will be taken any
// more, 503 and 429 with Retry-After where the same request may be repeated.

const tusVersion = "1.0.0"

// MaxChunk bounds one PATCH: 8 MiB and some room for an agent that closes a
// package within its last chunk.
const MaxChunk = 8<<20 + 64<<10

// maxMetadata bounds Upload-Metadata.
const maxMetadata = 1 << 10

func (g *Gateway) uploadOptions(w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	h.Set("Tus-Resumable", tusVersion)
	h.Set("Tus-Version", tusVersion)
	h.Set("Tus-Extension", "creation,creation-defer-length")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// uploader checks what each request of an upload has.
func (g *Gateway) uploader(w http.ResponseWriter, r *http.Request) (peer, error) {
	w.Header().Set("Tus-Resumable", tusVersion)
	p, err := g.peer(r)
	if err != nil {
		return p, err
	}
	if r.Header.Get("Tus-Resumable") != tusVersion {
		w.Header().Set("Tus-Version", tusVersion)
		return p, bad(http.StatusPreconditionFailed, "Tus-Resumable has to be "+tusVersion)
	}
	return p, nil
}

func bad(status int, text string) error {
	return &refusal{status: status, code: wire.CodeInvalidRequest, text: text}
}

// uploadCreate begins the upload of an attempt. An attempt has one upload: an
// answer that was lost is given again as long as nothing was uploaded.
func (g *Gateway) uploadCreate(w http.ResponseWriter, r *http.Request) error {
	p, err := g.uploader(w, r)
	if err != nil {
		return err
	}
	id, attempt, err := metadata(r.Header.Values("Upload-Metadata"))
	if err != nil {
		return bad(http.StatusBadRequest, err.Error())
	}
	length, err := declared(r.Header)
	if err != nil {
		return bad(http.StatusBadRequest, err.Error())
	}
	if r.ContentLength != 0 {
		return bad(http.StatusBadRequest, "The creation of an upload has no body here")
	}
	if err := g.uploading(r.Context(), p, id, attempt); err != nil {
		return err
	}
	u, err := g.uploadOf(r.Context(), p, id, attempt)
	if errors.Is(err, fault.NotFound) {
		u, err = g.vault.Create(r.Context(), vault.Request{Tenant: p.device.Tenant, Device: p.device.ID, Action: id, Attempt: attempt, Length: length})
		if err == nil {
			g.count.Uploads.Add(1)
			g.log.InfoContext(r.Context(), "upload begun", "upload", u.ID, "action", id, "attempt", attempt, "device", p.device.ID)
		} else if errors.Is(err, vault.ErrExists) { // made by a request beside this one
			u, err = g.uploadOf(r.Context(), p, id, attempt)
		}
	}
	if err != nil {
		return err
	}
	w.Header().Set("Location", pathUploads+"/"+u.ID)
	position(w.Header(), u)
	w.WriteHeader(http.StatusCreated)
	return nil
}

// uploading asks whether the attempt may deliver bytes, and tells of one that is
// not the device's.
func (g *Gateway) uploading(ctx context.Context, p peer, id string, attempt int) error {
	err := g.engine.Uploading(ctx, p.device.Tenant, p.device.ID, id, attempt)
	if errors.Is(err, fault.NotFound) {
		g.foreign(ctx, p.device.Tenant, p.device.ID, p.from, "upload", id)
	}
	return err
}

// uploadOf returns the upload that an attempt has, or fault.NotFound.
func (g *Gateway) uploadOf(ctx context.Context, p peer, id string, attempt int) (vault.Upload, error) {
	all, err := g.vault.UploadsOf(ctx, p.device.Tenant, id)
	if err != nil {
		return vault.Upload{}, err
	}
	for _, u := range all {
		if u.Attempt != attempt || u.Device != p.device.ID {
			continue
		}
		if u.State == vault.Receiving && u.Offset == 0 {
			return u, nil
		}
		return vault.Upload{}, fault.BadRequest.Errorf(nil, "Attempt %d has an upload already, which is %s at %d", attempt, u.State, u.Offset)
	}
	return vault.Upload{}, fault.NotFound.Errorf(nil, "Attempt %d has no upload", attempt)
}

// uploadHead says where an upload is.
func (g *Gateway) uploadHead(w http.ResponseWriter, r *http.Request) error {
	p, err := g.uploader(w, r)
	if err != nil {
		return err
	}
	u, err := g.own(r, p)
	if err != nil {
		return err
	}
	switch u.State {
	case vault.Receiving:
		if err := g.uploading(r.Context(), p, u.Action, u.Attempt); err != nil {
			return err
		}
	case vault.Complete, vault.Sealed:
	default:
		return bad(http.StatusGone, "The upload is "+string(u.State))
	}
	position(w.Header(), u)
	w.WriteHeader(http.StatusOK)
	return nil
}

// uploadPatch adds a chunk. The one that brings the last byte is answered after
// the verdict, if that comes soon.
func (g *Gateway) uploadPatch(w http.ResponseWriter, r *http.Request) error {
	p, err := g.uploader(w, r)
	if err != nil {
		return err
	}
	u, err := g.own(r, p)
	if err != nil {
		return err
	}
	if r.Header.Get("Content-Type") != "application/offset+octet-stream" {
		return bad(http.StatusUnsupportedMediaType, "A chunk is application/offset+octet-stream")
	}
	offset, err := number(r.Header, "Upload-Offset")
	if err != nil || offset < 0 {
		return bad(http.StatusBadRequest, "Upload-Offset has to be a number from 0 on")
	}
	length, err := number(r.Header, "Upload-Length")
	if err != nil {
		return bad(http.StatusBadRequest, err.Error())
	}
	if r.ContentLength > MaxChunk {
		return bad(http.StatusRequestEntityTooLarge, fmt.Sprintf("A chunk has %d bytes at most", MaxChunk))
	}
	if u.State != vault.Receiving {
		return g.afterEnd(w, u, offset)
	}
	if err := g.uploading(r.Context(), p, u.Action, u.Attempt); err != nil {
		return err
	}
	u, err = g.append(w, r, u, offset, length)
	if err != nil {
		position(w.Header(), u)
		return g.unappended(r.Context(), u, err)
	}
	if u.State == vault.Complete {
		g.await(w, r, u)
	}
	position(w.Header(), u)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// afterEnd answers a chunk for an upload that takes none: the last one again,
// whose answer was lost, is told that all is here.
func (g *Gateway) afterEnd(w http.ResponseWriter, u vault.Upload, offset int64) error {
	if u.State != vault.Complete && u.State != vault.Sealed {
		return bad(http.StatusGone, "The upload is "+string(u.State))
	}
	if offset != u.Offset {
		position(w.Header(), u)
		return bad(http.StatusConflict, fmt.Sprintf("The upload is at %d", u.Offset))
	}
	position(w.Header(), u)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// append writes the request's body to the upload.
func (g *Gateway) append(w http.ResponseWriter, r *http.Request, u vault.Upload, offset, length int64) (vault.Upload, error) {
	wr, err := g.vault.Write(r.Context(), u.ID)
	if err != nil {
		return u, err
	}
	defer wr.Close()
	body := g.stalling(w, http.MaxBytesReader(w, r.Body, MaxChunk))
	// A newer request for the upload ends the reading of this one.
	stop := context.AfterFunc(wr.Context(), body.interrupt)
	before := wr.Upload().Offset
	u, err = wr.Append(offset, length, body)
	stop()
	body.done()
	g.count.UploadBytes.Add(u.Offset - before)
	return u, err
}

// unappended is the answer where a chunk was not taken whole. What can't get
// better ends the attempt.
func (g *Gateway) unappended(ctx context.Context, u vault.Upload, err error) error {
	over, tooLong := errors.AsType[*http.MaxBytesError](err)
	switch {
	case tooLong:
		return bad(http.StatusRequestEntityTooLarge, fmt.Sprintf("A chunk has %d bytes at most", over.Limit))
	case errors.Is(err, vault.ErrOffset):
		return &refusal{status: http.StatusConflict, code: wire.CodeInvalidRequest, text: fmt.Sprintf("The upload is at %d", u.Offset)}
	case errors.Is(err, fault.TooLarge):
		g.do(func() { g.tooLarge(u, err) })
	case errors.Is(err, vault.ErrTakenOver):
		return bad(http.StatusConflict, "A newer request took the upload over")
	case errors.Is(err, errStalled):
		g.count.Stalled.Add(1)
		return bad(http.StatusRequestTimeout, fmt.Sprintf("The chunk stopped arriving; the upload is at %d", u.Offset))
	}
	if code, _ := fault.Of(err); code == fault.Internal && ctx.Err() != nil {
		return bad(http.StatusRequestTimeout, "The connection ended within the chunk") // nobody reads it
	}
	return err
}

var uploadID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// own returns the upload that the path names, if it is the device's.
func (g *Gateway) own(r *http.Request, p peer) (vault.Upload, error) {
	u, err := g.vault.Upload(r.Context(), r.PathValue("id"))
	if err != nil {
		return u, err
	}
	if u.Device != p.device.ID || u.Tenant != p.device.Tenant {
		g.foreign(r.Context(), p.device.Tenant, p.device.ID, p.from, "upload", u.Action)
		return vault.Upload{}, fault.NotFound.Errorf(nil, "There is no such upload")
	}
	return u, nil
}

// position sets the headers that say where an upload is.
func position(h http.Header, u vault.Upload) {
	h.Set("Upload-Offset", strconv.FormatInt(u.Offset, 10))
	if u.Length < 0 {
		h.Set("Upload-Defer-Length", "1")
	} else {
		h.Set("Upload-Length", strconv.FormatInt(u.Length, 10))
	}
}

// number reads a header that is a number from 0 on; -1 where it is missing.
func number(h http.Header, name string) (int64, error) {
	values := h.Values(name)
	if len(values) == 0 {
		return -1, nil
	}
	n, err := strconv.ParseInt(values[0], 10, 64)
	if len(values) > 1 || err != nil || n < 0 || strconv.FormatInt(n, 10) != values[0] {
		return -1, fmt.Errorf("%s has to be one number from 0 on", name)
	}
	return n, nil
}

// declared reads the length of an upload that is created; -1 where it is deferred.
func declared(h http.Header) (int64, error) {
	length, err := number(h, "Upload-Length")
	if err != nil {
		return -1, err
	}
	deferred := h.Get("Upload-Defer-Length")
	if (length < 0) == (deferred == "") || deferred != "" && deferred != "1" {
		return -1, errors.New("either Upload-Length or Upload-Defer-Length: 1 is needed")
	}
	return length, nil
}

// metadata reads which attempt of which action an upload is for.
func metadata(values []string) (id string, attempt int, err error) {
	wrong := errors.New("Upload-Metadata has to name action and attempt, each once")
	if len(values) != 1 || len(values[0]) > maxMetadata {
		return "", 0, wrong
	}
	for pair := range strings.SplitSeq(values[0], ",") {
		key, encoded, _ := strings.Cut(strings.TrimSpace(pair), " ")
		value, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil {
			return "", 0, wrong
		}
		switch {
		case key == "action" && id == "":
			id = string(value)
		case key == "attempt" && attempt == 0:
			n, err := strconv.Atoi(string(value))
			if err != nil || n < 1 || strconv.Itoa(n) != string(value) {
				return "", 0, wrong
			}
			attempt = n
		default:
			return "", 0, wrong
		}
	}
	if id == "" || attempt == 0 {
		return "", 0, wrong
	}
	return id, attempt, nil
}

// tooLarge ends an attempt whose package is longer than an upload may be.
func (g *Gateway) tooLarge(u vault.Upload, cause error) {
	ctx, cancel := context.WithTimeout(g.life, g.times.Work)
	defer cancel()
	_, text := fault.Of(cause)
	if err := g.spoil(ctx, u, verdict{code: "PackageTooLarge", text: text}); err != nil {
		g.log.ErrorContext(ctx, "end an attempt that sends too much", "upload", u.ID, "action", u.Action, "device", u.Device, "err", err)
	}
}

// await waits for the verdict on a complete upload, for as long as a device may
// be kept waiting. Afterwards it goes on, and the device is told on its channel.
func (g *Gateway) await(w http.ResponseWriter, r *http.Request, u vault.Upload) {
	// The server's own deadline for answers, if it has one, is not made for
	// waiting; it sets it anew for the connection's next request.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	t := time.NewTimer(g.times.Judge)
	defer t.Stop()
	select {
	case <-g.judge(u):
	case <-t.C:
	case <-r.Context().Done():
	}
}
