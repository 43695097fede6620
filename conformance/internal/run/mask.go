package run

import (
	"encoding/json"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// A mask may have the path of everything, which protojson neither reads nor writes.
const (
	maskField = "updateMask"
	wildcard  = "*"
	// standIn is what stands for it meanwhile. No case has it.
	standIn = "everything"
)

// hideWildcards replaces the path of everything in the mask of a request, and
// returns the mask as it was, or nothing where it has none.
func hideWildcards(request any) (mask string) {
	fields, ok := request.(map[string]any)
	if !ok {
		return ""
	}
	text, _ := fields[maskField].(string)
	paths := strings.Split(text, ",")
	if !slices.Contains(paths, wildcard) {
		return ""
	}
	for i, path := range paths {
		if path == wildcard {
			paths[i] = standIn
		}
	}
	fields[maskField] = strings.Join(paths, ",")
	return text
}

// revealWildcards puts them back into a message.
func revealWildcards(message proto.Message) {
	reflected := message.ProtoReflect()
	field := reflected.Descriptor().Fields().ByJSONName(maskField)
	mask, ok := reflected.Mutable(field).Message().Interface().(*fieldmaskpb.FieldMask)
	if !ok {
		return
	}
	for i, path := range mask.GetPaths() {
		if path == standIn {
			mask.Paths[i] = wildcard
		}
	}
}

// revealInJSON puts a mask back into a message in JSON.
func revealInJSON(text []byte, mask string) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	quoted, err := json.Marshal(mask)
	if err != nil {
		return nil, err
	}
	fields[maskField] = quoted
	return json.Marshal(fields)
}
