package api

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"swab/internal/fault"
)

// maxRanges is how many ranges of a file one request may ask for: enough for any
// download manager, too few to make of a small request a large answer.
const maxRanges = 16

// send writes a file, or the ranges of it that were asked for. Whatever a
// package holds, a browser keeps it and opens nothing. An error that it returns
// is still to be answered, and no header of the file is left for that answer.
func (c *call) send(name string, at time.Time, content io.ReadSeeker) error {
	size, err := content.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Cache-Control", "private, no-store")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Accept-Ranges", "bytes")
	_ = http.NewResponseController(c.w).SetReadDeadline(time.Time{}) // the request was read; sending takes as long as it takes
	w := &held{ResponseWriter: c.w}
	if strings.Count(c.r.Header.Get("Range"), ",") >= maxRanges {
		w.status = http.StatusRequestedRangeNotSatisfiable
	} else {
		http.ServeContent(w, c.r, "", at, content)
	}
	if w.status == 0 {
		return nil
	}
	for _, of := range []string{"Content-Disposition", "Content-Encoding", "ETag", "Last-Modified", "Link", "Repr-Digest"} {
		h.Del(of)
	}
	switch w.status {
	case http.StatusRequestedRangeNotSatisfiable:
		h.Set("Content-Range", "bytes */"+strconv.FormatInt(size, 10))
		return fault.BadRange.Errorf(nil, "The Range header fits nothing of the file's %d bytes, or has more than %d ranges", size, maxRanges)
	case http.StatusPreconditionFailed:
		return fault.Precondition.Errorf(nil, "The file is not the one that If-Match or If-Unmodified-Since names; its ETag is the SHA-256 of its bytes")
	default:
		return errors.New("send a file: " + http.StatusText(w.status) + ": " + w.text)
	}
}

// held keeps back a failure that http.ServeContent would answer in words of its
// own, so that the caller can answer it as every other.
type held struct {
	http.ResponseWriter
	status int    // of the failure; 0 for none
	text   string // what ServeContent would have said
}

func (w *held) WriteHeader(status int) {
	if status < http.StatusBadRequest {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.status = status
}

func (w *held) Write(p []byte) (int, error) {
	if w.status == 0 {
		return w.ResponseWriter.Write(p)
	}
	w.text += string(p)
	return len(p), nil
}
