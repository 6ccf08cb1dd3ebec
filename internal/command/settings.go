package command

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v4"
)

// ConfigFile is the type of the flag that names the YAML file of a command's
// settings. A command has at most one.
type ConfigFile string

// MaxConfig bounds a file of settings: 1 MiB.
const MaxConfig = 1 << 20

// environment resolves flags by their variables. A variable that is set to
// nothing counts as not set.
func (p *parser) environment(getenv func(string) string) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		for _, name := range p.envs[flag.Value] {
			if value := getenv(name); value != "" {
				p.source = " (from " + name + ")"
				return value, nil
			}
		}
		return nil, nil
	})
}

// file resolves flags by the file that the selected command's ConfigFile names,
// if it names one.
func (p *parser) file(trace *kong.Context, node *kong.Node, getenv func(string) string) (kong.Resolver, error) {
	none := kong.ResolverFunc(func(*kong.Context, *kong.Path, *kong.Flag) (any, error) { return nil, nil })
	i := slices.IndexFunc(node.Flags, func(f *kong.Flag) bool {
		_, ok := f.Target.Interface().(ConfigFile)
		return ok
	})
	if i < 0 {
		return none, nil
	}
	config := node.Flags[i]
	name := string(trace.FlagValue(config).(ConfigFile))
	for _, env := range p.envs[config.Value] {
		if name == "" {
			name = getenv(env)
		}
	}
	if name == "" {
		return none, nil
	}
	settings, err := readFile(name)
	if err != nil {
		return none, fmt.Errorf("settings %s: %w", name, err)
	}
	var wrong []error
	for key, value := range settings {
		known := func(f *kong.Flag) bool { return f.Name == key && f != config && f != p.kong.Model.HelpFlag }
		_, mapping := value.(map[string]any)
		switch at := slices.IndexFunc(node.Flags, known); {
		case at < 0:
			wrong = append(wrong, fmt.Errorf("settings %s: unknown key %q", name, key))
		case mapping && node.Flags[at].Target.Type() != reflect.TypeFor[Table]():
			wrong = append(wrong, fmt.Errorf("settings %s: %q takes a single value or a list", name, key))
			delete(settings, key)
		}
	}
	slices.SortFunc(wrong, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		value, ok := settings[flag.Name]
		if !ok {
			return nil, nil
		}
		p.source = " (from " + name + ")"
		return value, nil
	}), errors.Join(wrong...)
}

func readFile(name string) (map[string]any, error) {
	f, err := os.Open(name)
	if err != nil {
		if pe, ok := errors.AsType[*os.PathError](err); ok {
			err = pe.Err // the name is said by the caller
		}
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxConfig+1))
	if err != nil {
		return nil, err
	}
	return parseSettings(data)
}

// parseSettings reads a YAML mapping of names to single values, lists of them, or
// mappings of names to either or to mappings of names to either. A single value
// becomes the text that the file has, as if a flag had given it; a list becomes a
// []any of such texts, a mapping a map[string]any.
func parseSettings(data []byte) (map[string]any, error) {
	if len(data) > MaxConfig {
		return nil, fmt.Errorf("has over %d bytes", MaxConfig)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil // nothing but comments
	} else if err != nil {
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document")
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, errors.New("not a YAML document")
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: not a mapping of names to values", root.Line)
	}
	return mapping(root, maxDepth)
}

// maxDepth is how many mappings a setting may have one within the other.
const maxDepth = 2

// mapping reads the names and values of a mapping, within which so many more
// may be one within the other.
func mapping(node *yaml.Node, depth int) (map[string]any, error) {
	settings := map[string]any{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: a name is a plain word", key.Line)
		}
		if _, twice := settings[key.Value]; twice {
			return nil, fmt.Errorf("line %d: %q stands there twice", key.Line, key.Value)
		}
		if value.Kind == yaml.MappingNode && depth > 0 {
			inner, err := mapping(value, depth-1)
			if err != nil {
				return nil, err
			}
			settings[key.Value] = inner
			continue
		}
		v, err := plain(value)
		if err != nil {
			return nil, fmt.Errorf("line %d: %q: %w", value.Line, key.Value, err)
		}
		settings[key.Value] = v
	}
	return settings, nil
}

func plain(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		if n.ShortTag() == "!!null" {
			return nil, errors.New("has no value; leave the line out for the default")
		}
		return n.Value, nil
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				return nil, errors.New("is a list of lists; it takes a list of single values")
			}
			list[i] = item.Value
		}
		return list, nil
	default:
		return nil, errors.New("takes a single value or a list")
	}
}
