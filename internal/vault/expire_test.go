package vault_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/vault"
)

// expirable is an upload in each state that expires.
func (c *cellar) expirable() map[vault.State]vault.Upload {
	c.t.Helper()
	ctx := c.t.Context()
	all := map[vault.State]vault.Upload{}
	for state, settle := range map[vault.State]func(u vault.Upload) (vault.Upload, error){
		vault.Sealed: func(u vault.Upload) (vault.Upload, error) {
			if _, err := c.Seal(ctx, u.ID, sum(randomly(8))); err != nil {
				return u, err
			}
			return c.Confirm(ctx, u.ID)
		},
		vault.Quarantined: func(u vault.Upload) (vault.Upload, error) { return c.Quarantine(ctx, u.ID, "it is altered") },
		vault.Partial:     func(u vault.Upload) (vault.Upload, error) { return c.Keep(ctx, u.ID, "the agent was restarted") },
	} {
		u, err := settle(c.complete(randomly(1000)))
		c.must(err)
		all[state] = u
	}
	return all
}

// marks keeps that an upload expired, as the records do.
func (c *cellar) marks(id string) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		_, err := c.store.ChangeUpload(ctx, id, func(u vault.Upload) (vault.Upload, error) {
			u.State, u.Reason = vault.Deleted, "it expired"
			return u, nil
		})
		return err == nil, err
	}
}

func TestExpiredBytesGoAfterTheRecordSaysSo(t *testing.T) {
	c := open(t, vault.Limits{})
	for state, u := range c.expirable() {
		mark := c.marks(u.ID)
		done, err := c.Expire(t.Context(), u, func(ctx context.Context) (bool, error) {
			if _, err := os.Stat(c.path(vault.Name(u))); err != nil {
				t.Errorf("%s: the bytes went before the record: %v", state, err)
			}
			return mark(ctx)
		})
		if err != nil || !done {
			t.Errorf("%s: Expire() = %v, %v", state, done, err)
		}
		if done, err := c.Expire(t.Context(), u, mark); err != nil || done {
			t.Errorf("%s: once more: %v, %v", state, done, err)
		}
	}
	if diff := cmp.Diff([]string(nil), c.files()); diff != "" {
		t.Errorf("files that are left (-want +got):\n%s", diff)
	}
}

func TestBytesThatAreElsewhereDoNotExpireHere(t *testing.T) {
	c := open(t, vault.Limits{})
	u := c.expirable()[vault.Sealed]
	c.must(os.Remove(c.path(vault.Name(u))))
	done, err := c.Expire(t.Context(), u, func(context.Context) (bool, error) {
		t.Error("the record was asked to say that bytes of another node went")
		return true, nil
	})
	if err != nil || done {
		t.Errorf("Expire() = %v, %v", done, err)
	}
	u = c.create()
	if _, err := c.Expire(t.Context(), u, c.marks(u.ID)); err == nil {
		t.Error("an upload that receives expired")
	}
}

// The server is killed between what the record says and what is on disk.
func TestACrashBetweenMarkAndRemovalIsFinished(t *testing.T) {
	errKilled := errors.New("killed")
	for name, test := range map[string]struct {
		marked bool // the record says so by then
		want   int  // files that are left in the end, of three
	}{
		"before the record": {false, 3},
		"after the record":  {true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t, vault.Limits{})
			for _, u := range c.expirable() {
				_, err := c.Expire(t.Context(), u, func(ctx context.Context) (bool, error) {
					if test.marked {
						if _, err := c.marks(u.ID)(ctx); err != nil {
							t.Error(err)
						}
					}
					return false, errKilled
				})
				if !errors.Is(err, errKilled) {
					t.Fatal(err)
				}
				if _, err := os.Stat(c.path(vault.Name(u))); err != nil {
					t.Fatal(err)
				}
			}
			c.restart()
			for range 2 { // once more does nothing more
				c.must(c.FinishExpired(t.Context()))
				if got := c.files(); len(got) != test.want {
					t.Errorf("files: %q, want %d", got, test.want)
				}
				if notes, err := os.ReadDir(c.path("expiring")); err != nil || len(notes) != 0 {
					t.Errorf("%d notes are left, %v", len(notes), err)
				}
			}
		})
	}
}

// The place of a package is its action's: what another attempt left there stays.
func TestAnExpiredAttemptLeavesThePackageOfAnother(t *testing.T) {
	c := open(t, vault.Limits{})
	first := c.complete(randomly(1000))
	first, err := c.Quarantine(t.Context(), first.ID, "it is altered")
	c.must(err)
	second, err := c.Create(t.Context(), vault.Request{Tenant: first.Tenant, Device: first.Device, Action: first.Action, Attempt: 2, Length: 0})
	c.must(err)
	_, err = c.append(second.ID, 0, 0, bytes.NewReader(nil))
	c.must(err)
	_, err = c.Seal(t.Context(), second.ID, sum(nil))
	c.must(err)
	second, err = c.Confirm(t.Context(), second.ID)
	c.must(err)
	if _, err := c.Expire(t.Context(), first, func(ctx context.Context) (bool, error) {
		if _, err := c.marks(first.ID)(ctx); err != nil {
			t.Error(err)
		}
		return false, errors.New("killed")
	}); err == nil {
		t.Fatal("nothing happened")
	}
	c.restart()
	c.must(c.FinishExpired(t.Context()))
	if diff := cmp.Diff([]string{vault.Name(second)}, c.files()); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
