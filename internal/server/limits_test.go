package server

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"swab/internal/command"
	"swab/internal/limit"
)

func TestSettingsOfLimits(t *testing.T) {
	for _, c := range []struct {
		table command.Table
		on    bool
		set   map[string]limit.Figures
		err   []string
	}{
		{table: command.Table{Word: "on"}, on: true},
		{table: command.Table{}, on: true},
		{table: command.Table{Word: "off"}},
		{table: command.Table{Word: "5"}, on: true, err: []string{"--limits 5: want on or off"}},
		{
			table: command.Table{Rows: map[string]command.Row{
				"getPackageUri":    {Cells: map[string]string{"minute": "20", "hour": "1200"}},
				"getMachineAction": {Word: "off"},
				"listMachines":     {Cells: map[string]string{"hour": "3000"}},
			}},
			on:  true,
			set: map[string]limit.Figures{"getPackageUri": {Minute: 20, Hour: 1200}, "getMachineAction": {}, "listMachines": {Minute: 100, Hour: 3000}},
		},
		{
			table: command.Table{Rows: map[string]command.Row{
				"getpackageuri":    {Word: "off"},
				"getMachineAction": {Word: "on"},
				"listMachines":     {Cells: map[string]string{"minute": "0", "hour": "0"}},
				"getMachine":       {Cells: map[string]string{"minute": "many"}},
				"readAuditLog":     {Cells: map[string]string{"hour": "100001"}},
				"cancelMachineAction": {Cells: map[string]string{
					"day": "5",
				}},
			}},
			on: true,
			err: []string{
				`there is no API "getpackageuri"; there are `, "getPackageUri", `getMachineAction: "on" is neither off nor`, `listMachines: hour: "0" is not a number from 1 to 100000`,
				`getMachine: minute: "many" is not a number`, "readAuditLog: 600 a minute and 100001 an hour", `cancelMachineAction: there is no window "day"`,
			},
		},
	} {
		on, set, err := (&Config{Limits: c.table}).limits()
		for _, want := range c.err {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v, want %q", c.table, err, want)
			}
		}
		if c.err != nil {
			continue
		}
		if diff := cmp.Diff(c.set, set, cmpopts.EquateEmpty()); on != c.on || err != nil || diff != "" {
			t.Errorf("%+v: %t, %v (-want +got):\n%s", c.table, on, err, diff)
		}
	}
}
