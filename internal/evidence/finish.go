package evidence

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"swab/internal/canon"
	"swab/internal/catalog"
	"swab/internal/device"
	"swab/internal/dsse"
)

// Finish ends the package: it adds plan.json, the summary in both forms,
// manifest.json with the account of all entries, its signature by key, and the
// ZIP's directory. Every table and stream is closed before. Of the manifest it
// fills in the format, the digest of the plan, and the entries; key must be the
// one that ends the chain of m.Device.
func (w *Writer) Finish(m Manifest, plan catalog.Plan, key ed25519.PrivateKey) error {
	if err := w.settled(); err != nil {
		return err
	}
	chain, err := device.Chain(m.Device.Key, m.Device.Succession)
	if err != nil {
		return fmt.Errorf("finish package: %w", err)
	}
	if pub := chain[len(chain)-1]; !pub.Equal(key.Public()) {
		return errors.New("finish package: the signing key does not end the device's chain of keys")
	}
	m.Format = Format
	m.Profile = Profile{Name: plan.Profile, Digest: plan.Digest()}

	w.endList()
	w.put(Entry{Path: planPath, Kind: KindPlan}, plan.Canonical())
	table := summarize(m, plan)
	w.put(Entry{Path: summaryPath, Kind: KindReport, Rows: int64(len(table.rows))}, table.csv())
	w.put(Entry{Path: xlsPath, Kind: KindReport, Rows: int64(len(table.rows))}, table.xls())

	m.Entries = slices.Clone(w.entries)
	complete(reflect.ValueOf(&m).Elem())
	manifest, err := canon.Marshal(m)
	if err != nil {
		return fmt.Errorf("finish package: manifest: %w", err)
	}
	w.put(Entry{Path: manifestPath}, manifest)
	envelope, err := signManifest(m, manifest, key)
	if err != nil {
		return fmt.Errorf("finish package: %w", err)
	}
	w.put(Entry{Path: envelopePath}, envelope)
	return w.finishDirectory()
}

// settled says why the package can't be finished now.
func (w *Writer) settled() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && w.open > 0 {
		w.err = fmt.Errorf("finish package: %d tables or streams are still open", w.open)
	}
	return w.err
}

// put adds a whole entry under one of the names that are the writer's own.
func (w *Writer) put(e Entry, data []byte) {
	e.Part, e.Outcome = 1, Collected
	p := w.newPart(e, w.now())
	w.fill(p, data)
	w.end(p)
}

// finishDirectory writes the central directory and the end of the ZIP.
func (w *Writer) finishDirectory() error {
	offset := w.off.Load()
	b := w.buf[:0]
	for i := range w.dir {
		if b = w.dir[i].appendCentral(b); len(b) >= chunk {
			w.emit(b)
			b = b[:0]
		}
	}
	w.emit(b)
	w.emit(appendEnd(b[:0], len(w.dir), w.off.Load()-offset, offset))
	return w.Err()
}

// signManifest returns manifest.dsse.
func signManifest(m Manifest, manifest []byte, key ed25519.PrivateKey) ([]byte, error) {
	sum := sha256.Sum256(manifest)
	payload, err := canon.Marshal(Statement{
		Type:          StatementType,
		Subject:       []Subject{{Name: manifestPath, Digest: SubjectDigest{SHA256: hex.EncodeToString(sum[:])}}},
		PredicateType: PredicateType,
		Predicate:     predicateOf(m),
	})
	if err != nil {
		return nil, err
	}
	return dsse.Sign(PayloadType, payload, key)
}

// predicateOf is what the signature states of a manifest beside its hash.
func predicateOf(m Manifest) Predicate {
	return Predicate{
		PackageID: m.PackageID, ActionID: m.ActionID, Attempt: m.Attempt, Device: m.Device.ID,
		Plan: m.Profile.Digest, Checkpoint: m.Checkpoint, Commitment: m.Commitment,
	}
}

// complete makes v fit for the canonical form: texts become valid UTF-8, which
// alone reads back as it was written, and lists that are nil become empty, which
// spares readers a case. Bytes stay null where there are none.
func complete(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if s := v.String(); ValidText(s) != s {
			v.SetString(ValidText(s))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			complete(v.Field(i))
		}
	case reflect.Pointer:
		if !v.IsNil() && v.Elem().Kind() != reflect.Bool {
			c := reflect.New(v.Type().Elem()) // what it points to is the caller's
			c.Elem().Set(v.Elem())
			complete(c.Elem())
			v.Set(c)
		}
	case reflect.Map:
		c := reflect.MakeMap(v.Type())
		for it := v.MapRange(); it.Next(); {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			key.Set(it.Key())
			value.Set(it.Value())
			complete(key)
			complete(value)
			c.SetMapIndex(key, value)
		}
		v.Set(c)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(c, v)
		for i := range c.Len() {
			complete(c.Index(i))
		}
		v.Set(c)
	}
}
