package client

import (
	"unicode/utf8"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// decodePublished decodes the answer to a batch of which nothing was refused. It reports
// whether it did.
func decodePublished(data []byte, into *tidingsv1.PublishStreamResponse) bool {
	into.Reset()
	for at := 0; at < len(data); {
		f := fieldAt(data, at, len(data))
		at = f.after
		switch f.tag {
		case int1:
			into.Batch = int64(f.value)
		case tag2:
			published, ok := decodeReceipts(data[f.from:f.to])
			if !ok || into.GetResult() != nil {
				return false
			}
			into.Result = &tidingsv1.PublishStreamResponse_Published{Published: published}
		default:
			return false
		}
	}
	return true
}

func decodeReceipts(data []byte) (published *tidingsv1.PublishResponse, ok bool) {
	published = &tidingsv1.PublishResponse{}
	var memory []tidingsv1.Receipt
	for at := 0; at < len(data); {
		f := fieldAt(data, at, len(data))
		at = f.after
		switch f.tag {
		case tag1:
			published.Topic = string(data[f.from:f.to])
			if !utf8.ValidString(published.GetTopic()) {
				return nil, false
			}
		case tag2:
			if len(memory) == 0 {
				memory = make([]tidingsv1.Receipt, runEvents)
			}
			if !decodeReceipt(data[f.from:f.to], &memory[0]) {
				return nil, false
			}
			published.Receipts = append(published.Receipts, &memory[0])
			memory = memory[1:]
		default:
			return nil, false
		}
	}
	return published, true
}

func decodeReceipt(data []byte, receipt *tidingsv1.Receipt) bool {
	for at := 0; at < len(data); {
		f := fieldAt(data, at, len(data))
		at = f.after
		switch f.tag {
		case int1:
			receipt.Index = int64(f.value)
		case int2:
			receipt.Sequence = int64(f.value)
		case int3:
			receipt.Duplicate = f.value != 0
		default:
			return false
		}
	}
	return true
}
