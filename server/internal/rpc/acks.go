package rpc

import (
	"bytes"
	"unicode/utf8"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"

	"example.com/tidings/server/internal/eventwire"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// decodeAcks reads an encoded request that acknowledges deliveries and does nothing else,
// as most requests of consumers do, with a few allocations for all of them. It returns
// false for any other, also where it only may be another.
func decodeAcks(data []byte, into *tidingsv1.ConsumeRequest) bool {
	const settle = 2 // ConsumeRequest.settle
	var batch []byte
	if !eventwire.Scan(data, func(number protowire.Number, _ uint64, value []byte) bool {
		first := batch == nil
		batch = value
		return first && number == settle && len(value) > 0
	}) || batch == nil {
		return false
	}
	count := 0
	if !eachAck(batch, func([]byte) { count++ }) {
		return false
	}
	made, settlements := make([]tidingsv1.Settlement, count), make([]*tidingsv1.Settlement, 0, count)
	eachAck(bytes.Clone(batch), func(token []byte) { // Which is the transport's.
		s := &made[len(settlements)]
		s.DeliveryToken = unsafe.String(unsafe.SliceData(token), len(token)) //nolint:gosec // Nothing changes it.
		s.Action = plainAck
		settlements = append(settlements, s)
	})
	into.Request = &tidingsv1.ConsumeRequest_Settle{Settle: &tidingsv1.SettlementBatch{Settlements: settlements}}
	return true
}

// plainAck is the action of all settlements that decodeAcks makes. Nothing changes it.
var plainAck = &tidingsv1.Settlement_Ack{Ack: new(tidingsv1.Ack)}

// eachAck visits the tokens of an encoded SettlementBatch, and returns false where it
// holds something else than acknowledgements in their usual encoding.
func eachAck(batch []byte, visit func(token []byte)) bool {
	const (
		settlements = 1      // SettlementBatch.settlements
		token       = 1<<3 | // Settlement.delivery_token
			byte(protowire.BytesType)
		ack = "\x12\x00" // Settlement.ack
	)
	return eventwire.Scan(batch, func(number protowire.Number, _ uint64, s []byte) bool {
		length := len(s) - 2 - len(ack)
		if number != settlements || length < 0 || s[0] != token || int(s[1]) != length || length >= utf8.RuneSelf ||
			string(s[2+length:]) != ack || !utf8.Valid(s[2:2+length]) {
			return false
		}
		visit(s[2 : 2+length])
		return true
	})
}
