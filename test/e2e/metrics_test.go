package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"swab/client"
)

// scrape reads the metrics of a server, by name and labels as they are written.
func scrape(ctx context.Context, address string) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics: %s, %w", resp.Status, err)
	}
	all := map[string]float64{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), "} ")
		if name += "}"; !ok {
			name, value, _ = strings.Cut(lines.Text(), " ")
		}
		if strings.HasPrefix(name, "#") {
			continue
		}
		if all[name], err = strconv.ParseFloat(value, 64); err != nil {
			return nil, fmt.Errorf("metric %s: %w", name, err)
		}
	}
	return all, nil
}

// What a server tells of itself while collections run: each scrape is answered, no
// sum ever goes back, and in the end each figure has moved by what was done.
func TestMetricsFollowTheCollections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := l.Addr().String()
	must(t, l.Close())
	in, c, device := install(t, "--metrics-listen", address)
	read := func() map[string]float64 {
		t.Helper()
		all, err := scrape(within(t, 10*time.Second), address)
		must(t, err)
		return all
	}
	before := read()
	if before["swab_devices_connected"] != 1 || before["swab_store_readable"] != 1 {
		t.Errorf("%v devices are connected, want 1; readable %v", before["swab_devices_connected"], before["swab_store_readable"])
	}

	const collections = 5
	ctx, stop := context.WithCancel(t.Context())
	var beside sync.WaitGroup
	beside.Go(func() {
		last := before
		for ctx.Err() == nil {
			now, err := scrape(ctx, address)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			for name, value := range now {
				if plain, _, _ := strings.Cut(name, "{"); strings.HasSuffix(plain, "_total") && value < last[name] {
					t.Errorf("%s went from %v to %v", name, last[name], value)
				}
			}
			last = now
		}
	})
	var size int64 // of the packages
	for range collections {
		info, err := os.Stat(keep(t, c, succeed(t, c, device).ID))
		must(t, err)
		size += info.Size()
	}
	stop()
	beside.Wait()

	// An action has succeeded a moment before its upload is put away.
	after := read()
	eventually(t, 10*time.Second, "the last upload is put away", func() bool {
		after = read()
		return after["swab_uploads_judging"] == 0 && after["swab_upload_verdict_seconds_count"]-before["swab_upload_verdict_seconds_count"] >= collections
	})
	for name, want := range map[string]float64{
		`swab_actions_ended_total{status="Succeeded"}`: collections, `swab_actions_ended_total{status="Failed"}`: 0,
		"swab_action_begin_seconds_count": collections, "swab_upload_verdict_seconds_count": collections, "swab_packages_sealed_total": collections, "swab_packages_spoiled_total": 0,
		"swab_uploads_total": collections, "swab_upload_bytes_total": float64(size), "swab_store_calls_lost_total": 0, "swab_device_denied_total": 0,
		`swab_http_requests_total{method="POST",route="api/machines/{machine}/collectInvestigationPackage",status="201"}`: collections,
	} {
		if got := after[name] - before[name]; got != want {
			t.Errorf("%s moved by %v, want %v", name, got, want)
		}
	}
	for name, least := range map[string]float64{ // the request, the seal and the download of each
		`swab_audit_entries_total{result="done"}`: 3 * collections, `swab_wakeups_delivered_total{device="connected"}`: collections, "swab_wakeups_total": collections,
		"swab_store_commit_seconds_count": 3 * collections, "swab_store_commit_calls_sum": 3 * collections, "swab_device_messages_received_total": 2 * collections,
	} {
		if got := after[name] - before[name]; got < least {
			t.Errorf("%s moved by %v, want %v at least", name, got, least)
		}
	}
	for _, name := range []string{"swab_uploads_open", "swab_uploads_judging", "swab_store_calls_waiting", "swab_wakeups_waiting"} {
		if after[name] != 0 {
			t.Errorf("%s is %v when nothing runs", name, after[name])
		}
	}

	// A device that is away: its action waits, and is seen to.
	must(t, in.Agents["a"].Kill())
	eventually(t, 30*time.Second, "the device is gone", func() bool { return read()["swab_devices_connected"] == 0 })
	absent := read()[`swab_wakeups_delivered_total{device="absent"}`]
	a, err := c.Collect(within(t, 10*time.Second), device, client.CollectRequest{Comment: "alert 1234"})
	must(t, err)
	eventually(t, 30*time.Second, "the action is seen to wait", func() bool {
		now := read()
		return now[`swab_actions{status="Pending"}`] == 1 && now[`swab_wakeups_delivered_total{device="absent"}`] > absent
	})
	_, err = c.Cancel(within(t, 10*time.Second), a.ID, "enough")
	must(t, err)
	if got := read()[`swab_actions_ended_total{status="Cancelled"}`]; got != 1 {
		t.Errorf("%v actions were cancelled, want 1", got)
	}
	eventually(t, 30*time.Second, "nothing waits any more", func() bool { return read()[`swab_actions{status="Pending"}`] == 0 })
}
