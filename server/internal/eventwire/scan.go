package eventwire

import "google.golang.org/protobuf/encoding/protowire"

// Scan calls visit for each field of a message that holds events: with a value
// that isn't nil for a field with a length, or else with the number. It returns
// false for what isn't a message, for a field number above 15, for other wire
// types and where visit does.
func Scan(data []byte, visit func(number protowire.Number, varint uint64, value []byte) bool) bool {
	for len(data) > 0 {
		tag := data[0] // Field numbers up to 15 take one byte.
		if tag >= 0x80 || tag < 0x08 {
			return false
		}
		data = data[1:]
		number, n := protowire.ConsumeVarint(data)
		if n < 0 {
			return false
		}
		data = data[n:]
		var value []byte
		switch protowire.Type(tag & 7) {
		case protowire.VarintType:
		case protowire.BytesType:
			if number > uint64(len(data)) {
				return false
			}
			value, data = data[:number:number], data[number:]
		default:
			return false
		}
		if !visit(protowire.Number(tag>>3), number, value) {
			return false
		}
	}
	return true
}
