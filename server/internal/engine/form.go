package engine

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// ConfigFormat is the form of configurations that this release writes.
const ConfigFormat = 1

// Decode decodes what a release has stored into a message, unless it is in a form
// that a later one than this writes.
func Decode(value []byte, into interface {
	proto.Message
	GetFormat() int32
}) error {
	if err := proto.Unmarshal(value, into); err != nil {
		return err
	}
	if into.GetFormat() != ConfigFormat {
		return fmt.Errorf("form %d is not known: a later release wrote it", into.GetFormat())
	}
	return nil
}

// EncodeSchemas encodes schemas in the form that this release writes, or returns
// ErrTooLarge.
func EncodeSchemas(revision *storagev1.SchemaRevision, most int) ([]byte, error) {
	revision.Format = ConfigFormat
	value, err := proto.Marshal(revision)
	if err != nil {
		return nil, err
	}
	if len(value) > most {
		return nil, fmt.Errorf("%w: schemas of %d bytes", ErrTooLarge, len(value))
	}
	return value, nil
}

// EncodeTypes encodes revisions of types in the form that this release writes, or
// returns ErrTooLarge for them or for a content.
func EncodeTypes(revisions *storagev1.TypeRevisions, number int64, contents map[string][]byte, most int) ([]byte, error) {
	revisions.Format, revisions.Number = ConfigFormat, number
	value, err := proto.Marshal(revisions)
	if err != nil {
		return nil, err
	}
	largest := len(value)
	for _, content := range contents {
		largest = max(largest, len(content))
	}
	if largest > most {
		return nil, fmt.Errorf("%w: %d bytes of event types", ErrTooLarge, largest)
	}
	return value, nil
}
