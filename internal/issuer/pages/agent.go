package pages

import "strings"

// browsers are marks of browsers in User-Agent headers. Each names those that it
// descends from as well, so the first that is found counts.
var browsers = []struct{ mark, name string }{
	{"Edg/", "Edge"}, {"EdgA/", "Edge"}, {"EdgiOS/", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Vivaldi/", "Vivaldi"},
	{"FxiOS/", "Firefox"}, {"Firefox/", "Firefox"}, {"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Version/", "Safari"},
}

// systems are marks of systems, likewise.
var systems = []struct{ mark, name string }{
	{"Windows", "Windows"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Mac OS X", "macOS"}, {"Android", "Android"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"},
}

// maxAgent is how many characters of another program's name are shown.
const maxAgent = 80

// program is what a User-Agent header says, as people call it: "Firefox on
// Linux". One that is no browser's is shown as it is, so far as it is short.
func program(agent string) string {
	if !strings.HasPrefix(agent, "Mozilla/5.0 (") {
		if r := []rune(strings.ToValidUTF8(agent, "\ufffd")); len(r) > maxAgent {
			return string(r[:maxAgent]) + "…"
		}
		return agent
	}
	name := "Browser"
	for _, b := range browsers {
		if strings.Contains(agent, b.mark) {
			name = b.name
			break
		}
	}
	for _, s := range systems {
		if strings.Contains(agent, s.mark) {
			return name + " on " + s.name
		}
	}
	return name
}
