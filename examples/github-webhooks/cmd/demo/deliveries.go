package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/examples/github-webhooks/convert"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// delivery is one payload that is published and read back.
type delivery struct {
	kind    string // X-GitHub-Event
	index   int    // among the payloads of its kind, from 0
	payload json.RawMessage

	message  proto.Message    // the typed event; nil if the payload was refused
	event    *tidingsv1.Event // what is published; nil as above
	sequence int64            // where the server stored it; 0 if it did not
	refused  error            // why it is not stored
	seen     int              // how often it was read back
	altered  []string         // what was different then
}

// name is the delivery's name in the report: `push[3]`.
func (d *delivery) name() string { return fmt.Sprintf("%s[%d]", d.kind, d.index) }

// intact reports whether the delivery came back once, as it was.
func (d *delivery) intact() bool { return d.seen == 1 && len(d.altered) == 0 }

// deliveries are the payloads of the package.
type deliveries struct {
	modelled   []*delivery    // those with an event, kinds in the package's order
	unmodelled map[string]int // how many payloads each other kind has
}

// load reads the index.json of @octokit/webhooks-examples.
func load(path string) (*deliveries, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: run `make demo`, which fetches the payloads", err)
	}
	if err != nil {
		return nil, err
	}
	var index []struct {
		Name     string            `json:"name"`
		Examples []json.RawMessage `json:"examples"`
	}
	if err := json.Unmarshal(content, &index); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	loaded := &deliveries{unmodelled: make(map[string]int)}
	kinds := convert.Kinds()
	for _, kind := range index {
		if !slices.Contains(kinds, kind.Name) {
			loaded.unmodelled[kind.Name] += len(kind.Examples)
			continue
		}
		for i, payload := range kind.Examples {
			loaded.modelled = append(loaded.modelled, &delivery{kind: kind.Name, index: i, payload: payload})
		}
	}
	if len(loaded.modelled) == 0 {
		return nil, fmt.Errorf("%s: no payloads", path)
	}
	return loaded, nil
}

// convert gives each delivery its event, or the reason why it has none.
func (ds *deliveries) convert() {
	for _, d := range ds.modelled {
		d.message, d.refused = convert.Decode(d.kind, d.payload)
		if d.refused == nil {
			d.event, d.refused = envelope(d)
		}
	}
}
