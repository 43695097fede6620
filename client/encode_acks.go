package client

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// acksSize returns the size of the SettlementBatch of a request that acknowledges events
// and does nothing else, and of the request, as appendAcks encodes it. It isn't ok for any
// other request, which is the generated code's.
func acksSize(request *tidingsv1.ConsumeRequest) (batch, size int, ok bool) {
	settlements := request.GetSettle().GetSettlements()
	for _, s := range settlements {
		if s.GetAction() != acknowledged || !utf8.ValidString(s.GetDeliveryToken()) || len(s.ProtoReflect().GetUnknown()) > 0 {
			return 0, 0, false
		}
		batch += 1 + protowire.SizeBytes(ackSize(s))
	}
	return batch, 1 + protowire.SizeBytes(batch), len(settlements) > 0
}

// ackSize is the size of a Settlement.
func ackSize(s *tidingsv1.Settlement) int { return stringSize(s.GetDeliveryToken()) + 2 }

// appendAcks encodes the request, given the size of its batch.
func appendAcks(data []byte, request *tidingsv1.ConsumeRequest, batch int) []byte {
	data = protowire.AppendVarint(append(data, tag2), uint64(batch))
	for _, s := range request.GetSettle().GetSettlements() {
		data = protowire.AppendVarint(append(data, tag1), uint64(ackSize(s)))
		data = append(appendString(data, tag1, s.GetDeliveryToken()), tag2, 0)
	}
	return data
}
