package scenario

import (
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protojson"

	conformancev1 "example.com/tidings/conformance/gen/go/tidings/conformance/v1"
)

// valueNames are the names of the values, in the order in which they are
// published. They are the ids of the events as well.
var valueNames = []string{"full", "max", "min", "empty", "unicode"}

// Values are the values that clients publish, by name.
type Values map[string]*conformancev1.EveryKind

// LoadValues reads the values from a directory of files NAME.json.
func LoadValues(dir string) (Values, error) {
	values := make(Values)
	for _, name := range valueNames {
		data, err := os.ReadFile(filepath.Join(dir, name+".json"))
		if err != nil {
			return nil, err
		}
		value := new(conformancev1.EveryKind)
		if err := protojson.Unmarshal(data, value); err != nil {
			return nil, fmt.Errorf("%s.json: %w", name, err)
		}
		values[name] = value
	}
	return values, nil
}
