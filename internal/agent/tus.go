package agent

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"time"
)

// The requests of an upload, by the tus protocol.

var uploadID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// create makes the upload and returns its id. The server takes it only once it
// has heard that the attempt is begun, which may still be on its way, so no
// refusal is final here. Of the Location that a server names only the id is
// taken: a device goes where its own settings say.
func (u *upload) create(ctx context.Context) (string, error) {
	b64 := base64.StdEncoding.EncodeToString
	retry := u.retry()
	retry.max = min(retry.max, 5*time.Second)
	for {
		a, err := u.server.do(ctx, request{
			method: http.MethodPost, path: pathUploads, bound: true,
			header: http.Header{
				"Tus-Resumable":       {"1.0.0"},
				"Upload-Defer-Length": {"1"},
				"Upload-Metadata":     {"action " + b64([]byte(u.action)) + ",attempt " + b64([]byte(strconv.Itoa(u.attempt)))},
			},
		}, http.StatusCreated)
		if err == nil {
			location, err := url.Parse(a.header.Get("Location"))
			if err != nil || !uploadID.MatchString(path.Base(location.Path)) {
				return "", errors.New("the server named no upload in its Location")
			}
			return path.Base(location.Path), nil
		}
		if err := u.pause(ctx, retry, "create upload", err); err != nil && !errors.Is(err, errLost) {
			return "", err
		} else if err != nil {
			if err := retry.wait(ctx, 0); err != nil {
				return "", err
			}
		}
	}
}

// deliver sends a chunk until the server has all of it, and says whether that
// was the end of the package.
func (u *upload) deliver(ctx context.Context, id string, c chunk) (done bool, err error) {
	retry := u.retry()
	for {
		end := c.offset + c.size
		offset, err := u.patch(ctx, id, c)
		took := err == nil // and, with the last chunk, the package's length
		if err != nil {
			if err := u.pause(ctx, retry, "send chunk", err); err != nil {
				return false, err
			}
			if offset, took, err = u.ask(ctx, id, retry); err != nil {
				return false, err
			}
		}
		if offset > end {
			return false, fmt.Errorf("%w: it names byte %d, sent are %d", errLost, offset, end)
		}
		if err := u.acknowledged(offset); err != nil {
			return false, err
		}
		if offset == end && (took || !c.last) {
			return c.last, nil
		}
		// Part of it arrived, or nothing, or all but the package's length.
		if offset > c.offset {
			retry.reset()
		} else if took {
			if err := retry.wait(ctx, 0); err != nil {
				return false, err
			}
		}
		u.mu.Lock()
		c = u.snapshot()
		u.mu.Unlock()
	}
}

// patch sends a chunk once and returns the offset that the server then has.
func (u *upload) patch(ctx context.Context, id string, c chunk) (int64, error) {
	h := http.Header{
		"Tus-Resumable": {"1.0.0"},
		"Content-Type":  {"application/offset+octet-stream"},
		"Upload-Offset": {strconv.FormatInt(c.offset, 10)},
	}
	if c.last {
		h.Set("Upload-Length", strconv.FormatInt(c.offset+c.size, 10))
	}
	a, err := u.server.do(ctx, request{
		method: http.MethodPatch, path: pathUploads + "/" + id, bound: true, header: h, stream: c.reader, length: c.size,
	}, http.StatusNoContent)
	if err != nil {
		return 0, err
	}
	offset, err := strconv.ParseInt(a.header.Get("Upload-Offset"), 10, 64)
	if err != nil {
		return 0, errors.New("the server acknowledged a chunk without an Upload-Offset")
	}
	return offset, nil
}

// ask asks how far the server has got, until it answers, and whether it knows
// that this is the end.
func (u *upload) ask(ctx context.Context, id string, retry *backoff) (offset int64, complete bool, err error) {
	for {
		a, err := u.server.do(ctx, request{
			method: http.MethodHead, path: pathUploads + "/" + id, bound: true, header: http.Header{"Tus-Resumable": {"1.0.0"}},
		}, http.StatusOK, http.StatusNoContent)
		if err == nil {
			offset, err = strconv.ParseInt(a.header.Get("Upload-Offset"), 10, 64)
			if err == nil {
				return offset, a.header.Get("Upload-Length") == strconv.FormatInt(offset, 10), nil
			}
			err = errors.New("the server named no Upload-Offset")
		}
		if err := u.pause(ctx, retry, "ask for offset", err); err != nil {
			return 0, false, err
		}
	}
}

// pause waits for the next try, unless err means that there is none.
func (u *upload) pause(ctx context.Context, retry *backoff, step string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var after time.Duration
	if r, ok := errors.AsType[*refusal](err); ok {
		switch r.status {
		case http.StatusNotFound, http.StatusGone:
			return fmt.Errorf("%w: %w", errLost, err)
		case http.StatusRequestEntityTooLarge:
			return fmt.Errorf("%w: %w", errTooLarge, err)
		}
		after = r.after
	}
	u.log.WarnContext(ctx, "upload interrupted; trying again", "step", step, "err", err)
	return retry.wait(ctx, after)
}
