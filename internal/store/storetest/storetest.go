// Package storetest is what every database that package store works on must
// do, as tests. They hold the store against what its callers rely on: what
// was kept comes back as it was, what two do at once happens in some order,
// what fails leaves nothing behind, and the audit log proves itself.
package storetest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/store"
)

// seeded is what a test takes its random choices from. The seed is logged, and so
// shown where the test fails; SWAB_TEST_SEED=N has the same choices made again.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("SWAB_TEST_SEED"); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatalf("SWAB_TEST_SEED: %v", err)
		}
	}
	t.Logf("SWAB_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(1, seed))
}

// Run runs the tests; open opens an empty store each time and closes it when
// the test ends.
func Run(t *testing.T, open func(*testing.T) *store.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *store.Store)
	}{
		{"ActionComesBackWhole", actionComesBackWhole},
		{"SecondActionOfDeviceIsRefused", secondActionIsRefused},
		{"OneOfManyCreatorsWins", oneCreatorWins},
		{"DeviceHasAtMostOneActiveAction", activeRule},
		{"ChangesOfOneActionFollowOneAnother", changesFollow},
		{"OneOfManyEndsWins", oneEndWins},
		{"FailedChangeLeavesNothing", failedChange},
		{"PanickingChangeFailsAlone", panickingChange},
		{"WhatWasAskedNeverChanges", askedNeverChanges},
		{"ActionsAreListedNewestFirst", actionsNewestFirst},
		{"DueActionsAreThoseThatWait", dueActions},
		{"TenantsAreApart", tenantsAreApart},
		{"LogProvesItself", logProvesItself},
		{"LogIsItsLeaves", logIsItsLeaves},
		{"LogsGrowSideBySide", logsGrowSideBySide},
		{"RebasesAreKept", rebasesAreKept},
		{"ProofsAreBounded", proofsAreBounded},
		{"TokenAdmitsAsManyAsItCounts", tokenCounts},
		{"TokenIsRefused", tokenIsRefused},
		{"SameKeyEnrolsOnce", sameKeyEnrolsOnce},
		{"SameKeyAtOnceEnrolsOnce", sameKeyAtOnce},
		{"AnsweredActComesFirst", answeredActComesFirst},
		{"AnyTextIsKept", anyTextIsKept},
		{"DevicesAreFound", devicesAreFound},
		{"DeviceFactsAreKept", deviceFacts},
		{"AdministeredDevicesAreKept", administeredDevicesAreKept},
		{"TwinsAreFound", twinsAreFound},
		{"EntraIDIsOneDevices", entraIDIsOneDevices},
		{"DeviceKeysFollowOneAnother", deviceKeysFollow},
		{"AddressesAreRemembered", addressesAreRemembered},
		{"SignsOfLifeAreKept", signsOfLife},
		{"TagsFindDevices", tagsFindDevices},
		{"WhatPeopleSayIsKept", whatPeopleSayIsKept},
		{"AppsAndTenantsAreKept", appsAndTenants},
		{"EnrollmentsAreKept", enrollmentsAreKept},
		{"RevokedTokenAdmitsNobody", revokedTokenAdmitsNobody},
		{"KeysAreKept", keysAreKept},
		{"KeysFollowOneAnother", keysFollow},
		{"RevisionTellsOfIdentities", revisionTells},
		{"UploadsAreKept", uploadsAreKept},
		{"OneUploadIsSealed", oneUploadIsSealed},
		{"AttemptHasOneUpload", attemptHasOneUpload},
		{"UploadsOfCancelledActionsAreFound", uploadsOfCancelledActionsAreFound},
		{"RetentionIsKept", retentionIsKept},
		{"HoldsAreKept", holdsAreKept},
		{"WhatIsHeldDoesNotExpire", whatIsHeldDoesNotExpire},
		{"CredentialsAreKept", credentialsAreKept},
		{"RosterIsKept", rosterIsKept},
		{"RosterChangesAlone", rosterChangesAlone},
		{"LedgersAreKept", ledgersAreKept},
		{"ChangesOfALedgerFollowOneAnother", changesOfALedgerFollow},
		{"OldLedgersAreForgotten", oldLedgersAreForgotten},
		{"TwoNodesKeepOneLimit", twoNodesKeepOneLimit},
		{"WhatWaitsIsCounted", whatWaitsIsCounted},
		{"EndedContextDoesNothing", endedContext},
		{"ClosedStoreRefuses", closedStore},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 123456700, time.UTC)

// at is n seconds after the start.
func at(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }

// id makes an id of the form of a UUID.
func id(kind, n int) string { return fmt.Sprintf("%08x-0000-7000-8000-%012x", kind, n) }

func entry(act audit.Act, object string, dev device.ID) audit.Entry {
	return audit.NewEntry(start, audit.Leaf{Act: act, Object: object, Device: string(dev), Result: audit.Done},
		audit.Hidden{Who: "application/1", Name: "tester", From: "192.0.2.1", Correlation: object, Comment: "für " + object})
}

func newTenant(t testing.TB, s *store.Store, n int) string {
	t.Helper()
	tenant := auth.Tenant{ID: id(0xa, n), Name: fmt.Sprint("tenant ", n), Created: at(n)}
	if err := s.CreateTenant(t.Context(), tenant, entry(audit.ActStart, tenant.ID, "")); err != nil {
		t.Fatal(err)
	}
	return tenant.ID
}

// tokenOf is the hash of a token by name.
func tokenOf(name string) [sha256.Size]byte { return sha256.Sum256([]byte(name)) }

func newToken(t testing.TB, s *store.Store, tenant, name string, change func(*auth.Enrollment)) {
	t.Helper()
	e := auth.Enrollment{Tenant: tenant, ID: name, Hash: tokenOf(name), Left: -1, Tags: []string{"web", "Zürich"}}
	if change != nil {
		change(&e)
	}
	if err := s.CreateEnrollment(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

// newDevice is a device, not yet enrolled, with a key made from n.
func newDevice(n int) device.Device {
	seed := sha256.Sum256([]byte(fmt.Sprint("device ", n)))
	key := ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
	return device.Device{
		ID: device.IDOf(key), Keys: []ed25519.PublicKey{key},
		Facts: device.Facts{
			Name: fmt.Sprintf("host%d.example.org", n), System: device.Linux, Platform: "Debian", Version: "12.11", Build: 7, Arch: "amd64",
			BootID: "b1", AgentVersion: "1.0.0", AgentSHA256: strings.Repeat("ab", 32),
			Addresses: []device.Address{{IP: "10.0.0.1", MAC: "020000000001", Type: "Ethernet", Up: true}}, LastAddress: "10.0.0.1",
		},
		Catalog: "sha256:" + strings.Repeat("0", 64), FirstSeen: at(n), LastSeen: at(n), External: "198.51.100.7",
	}
}

func enrol(t testing.TB, s *store.Store, token string, n int) device.Device {
	t.Helper()
	d := newDevice(n)
	got, err := s.Enrol(t.Context(), tokenOf(token), d, func(tenant string) audit.Entry { return entry(audit.ActEnrol, tenant, d.ID) })
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// world is a store with a tenant, a token and a device.
type world struct {
	*store.Store
	tenant string
	device device.Device
}

func newWorld(t testing.TB, s *store.Store) world {
	t.Helper()
	w := world{Store: s, tenant: newTenant(t, s, 1)}
	newToken(t, s, w.tenant, "token", nil)
	w.device = enrol(t, s, "token", 1)
	return w
}

// newAction is an action of a device with as little set as an engine would.
func newAction(d device.Device, n int) action.Action {
	return action.Action{
		Tenant: d.Tenant, ID: id(0xc, n), Device: d.ID, DeviceName: d.Facts.Name, Status: action.Pending, Profile: "triage",
		Plan: "sha256:1", Source: "PublicApi", RequestorID: "an application", Requestor: "tester", Comment: "alert 1234",
		Created: at(n), Updated: at(n), Touched: at(n), Due: at(n).Add(72 * time.Hour), Attempt: 1,
	}
}

func (w world) create(t testing.TB, a action.Action) action.Action {
	t.Helper()
	got, err := w.CreateAction(t.Context(), a, entry(audit.ActCollect, a.ID, a.Device))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// to changes an action's status, as far as the rules allow it.
func (w world) to(ctx context.Context, id action.ID, status action.Status) (action.Action, error) {
	return w.ChangeAction(ctx, w.tenant, id, func(a action.Action) (action.Action, []audit.Entry, error) {
		if !a.Status.May(status) {
			return a, nil, errEnded
		}
		a.Status = status
		if status.Ended() {
			a.Due = time.Time{}
		}
		return a, []audit.Entry{entry(audit.ActCancel, a.ID, a.Device)}, nil
	})
}

var errEnded = errors.New("the action has ended")

// wantFault fails the test unless err has the code and, where one is given, the text.
func wantFault(t testing.TB, what string, err error, code fault.Code, text string) {
	t.Helper()
	gotCode, gotText := fault.Of(err)
	if err == nil || gotCode != code || (text != "" && gotText != text) {
		t.Errorf("%s: %v (%s %q), want %s %q", what, err, gotCode, gotText, code, text)
	}
}

// shuffled numbers from 0 to n.
func shuffled(n int) []int { return rand.Perm(n) }
