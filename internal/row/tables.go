package row

import "strings"

// tables is the row type of each table of the catalogue, by item (without its
// system) and table. It is the one list of them: the runner begins an item's
// tables by it, and readers of packages find dated columns by it.
var tables = map[string]any{
	"processes/processes": Process{}, "processes/recovered": Recovered{},
	"maps/maps":                  Map{},
	"open_files/open_files":      OpenFile{},
	"agent/agent":                Agent{},
	"sockets/active_connections": Socket{}, "sockets/listening": Socket{}, "sockets/unix": UnixSocket{},
	"sockets/packet": PacketSocket{}, "sockets/netlink": NetlinkSocket{},
	"neighbours/arp": Neighbour{},
	"routes/routes":  Route{}, "routes/interfaces": Interface{},
	"sessions/sessions": Session{},
	"modules/modules":   Module{},
	"mounts/mounts":     Mount{},
	"system/system":     SystemFact{}, "system/clock": ClockReading{},
}

// Sample is a value of the row type of an item's table.
func Sample(item, table string) (any, bool) {
	_, thing, _ := strings.Cut(item, ".")
	sample, ok := tables[thing+"/"+table]
	return sample, ok
}
