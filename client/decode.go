package client

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Generated code makes a dozen allocations for an event, which cost more than reading its
// bytes. Here the events of a run share a few; see run. What isn't plain, such as a field
// of a later contract, is left to the generated code, and so is every error.

// The tags of fields, by their number.
const (
	varint = byte(protowire.VarintType)
	length = byte(protowire.BytesType)

	tag1, tag2, tag3, tag4, tag5, tag6, tag7 = 1<<3 | length, 2<<3 | length, 3<<3 | length, 4<<3 | length, 5<<3 | length, 6<<3 | length, 7<<3 | length
	int1, int2, int3, int6                   = 1<<3 | varint, 2<<3 | varint, 3<<3 | varint, 6<<3 | varint
)

// field is a field of a message: its tag, its value or where that lies, and where the
// field ends.
type field struct {
	tag             byte
	value           uint64
	from, to, after int
}

// fieldAt returns the field at a place of a message that ends at another. It has no tag
// where it isn't plain.
func fieldAt(data []byte, at, end int) field {
	tag := data[at]
	if tag >= 0x80 || tag&7 != varint && tag&7 != length {
		return field{}
	}
	value, n := protowire.ConsumeVarint(data[at+1 : end])
	at += 1 + n
	switch {
	case n < 0:
		return field{}
	case tag&7 == varint:
		return field{tag: tag, value: value, after: at}
	case value > uint64(end-at):
		return field{}
	}
	to := at + int(value)
	return field{tag: tag, from: at, to: to, after: to}
}

// only returns the one field of a message.
func only(data []byte) (field, bool) {
	if len(data) == 0 {
		return field{}, false
	}
	f := fieldAt(data, 0, len(data))
	return f, f.tag != 0 && f.after == len(data)
}

// decodeRead decodes a frame of events. It reports whether it did.
func decodeRead(data []byte, into *tidingsv1.ReadResponse) bool {
	frame, ok := only(data)
	if !ok || frame.tag != tag1 {
		return false
	}
	batch := &tidingsv1.EventBatch{}
	ok = eachRun(data[frame.from:frame.to], func(events *run, count int) bool {
		memory := make([]eventMemory, count)
		return events.each(func(i int, f field) bool {
			batch.Events = append(batch.Events, &memory[i].recorded)
			return events.recorded(&memory[i], f)
		})
	})
	if !ok {
		return false
	}
	into.Reset()
	into.Frame = &tidingsv1.ReadResponse_Events{Events: batch}
	return true
}

// decodeConsume decodes a frame of deliveries, or of the results of settlements. It
// reports whether it did.
func decodeConsume(data []byte, into *tidingsv1.ConsumeResponse) bool {
	frame, ok := only(data)
	switch {
	case !ok:
		return false
	case frame.tag == tag3:
		results, ok := decodeResults(data[frame.from:frame.to])
		if ok {
			into.Reset()
			into.Frame = &tidingsv1.ConsumeResponse_Settled{Settled: results}
		}
		return ok
	case frame.tag != tag1:
		return false
	}
	batch := &tidingsv1.DeliveryBatch{}
	ok = eachRun(data[frame.from:frame.to], func(deliveries *run, count int) bool {
		memory := make([]deliveryMemory, count)
		return deliveries.each(func(i int, f field) bool {
			batch.Deliveries = append(batch.Deliveries, &memory[i].delivery)
			return deliveries.delivery(&memory[i], f)
		})
	})
	if !ok {
		return false
	}
	into.Reset()
	into.Frame = &tidingsv1.ConsumeResponse_Deliveries{Deliveries: batch}
	return true
}

// decodeResults decodes the results of settlements that need no words.
func decodeResults(data []byte) (results *tidingsv1.SettlementResults, ok bool) {
	results = &tidingsv1.SettlementResults{}
	var memory []tidingsv1.SettlementResult
	for at := 0; at < len(data); {
		f := fieldAt(data, at, len(data))
		at = f.after
		switch f.tag {
		case int1:
			results.Batch = int64(f.value)
		case tag2:
			if len(memory) == 0 {
				memory = make([]tidingsv1.SettlementResult, runEvents)
			}
			result := &memory[0]
			memory = memory[1:]
			if f.from < f.to {
				status, ok := only(data[f.from:f.to])
				if !ok || status.tag != int1 {
					return nil, false
				}
				result.Status = tidingsv1.SettlementStatus(status.value)
			}
			results.Results = append(results.Results, result)
		default:
			return nil, false
		}
	}
	return results, true
}

// eachRun cuts a batch, whose events are its field 1, into runs.
func eachRun(data []byte, decode func(events *run, count int) bool) bool {
	var known knownStrings
	from, count := 0, 0
	for at := 0; at < len(data); {
		f := fieldAt(data, at, len(data))
		if f.tag != tag1 {
			return false
		}
		at, count = f.after, count+1
		if at == len(data) || count == runEvents || at-from >= runBytes {
			if !decode(&run{data: data[from:at], known: &known}, count) {
				return false
			}
			from, count = at, 0
		}
	}
	return true
}

// each calls decode for each event.
func (r *run) each(decode func(i int, f field) bool) bool {
	for i, at := 0, 0; at < len(r.data); i++ {
		f := fieldAt(r.data, at, len(r.data))
		r.left = len(r.data) - at
		if !decode(i, f) {
			return false
		}
		at = f.after
	}
	return true
}

// eventMemory holds an event, deliveryMemory a delivery.
type eventMemory struct {
	recorded    tidingsv1.RecordedEvent
	event       tidingsv1.Event
	data        anypb.Any
	publishTime timestamppb.Timestamp
	key         string
}

type deliveryMemory struct {
	eventMemory

	delivery tidingsv1.Delivery
	deadline timestamppb.Timestamp
	duration durationpb.Duration
}

func (r *run) delivery(m *deliveryMemory, message field) (ok bool) {
	d := &m.delivery
	for at := message.from; at < message.to; {
		f := fieldAt(r.data, at, message.to)
		at, ok = f.after, true
		switch f.tag {
		case tag1:
			ok = d.GetRecorded() == nil && r.recorded(&m.eventMemory, f)
			d.Recorded = &m.recorded
		case tag2:
			ok = r.string(&d.DeliveryToken, f)
		case int3:
			d.Attempt = int32(f.value)
		case tag4:
			ok = d.GetDeadline() == nil && r.time(&m.deadline.Seconds, &m.deadline.Nanos, f)
			d.Deadline = &m.deadline
		case tag5:
			ok = r.string(&d.LastNackReason, f)
		case int6:
			d.Redriven = f.value != 0
		case tag7:
			ok = d.GetLeaseDuration() == nil && r.time(&m.duration.Seconds, &m.duration.Nanos, f)
			d.LeaseDuration = &m.duration
		default:
			return false
		}
		if !ok {
			return false
		}
	}
	return true
}

func (r *run) recorded(m *eventMemory, message field) (ok bool) {
	e := &m.recorded
	for at := message.from; at < message.to; {
		f := fieldAt(r.data, at, message.to)
		at, ok = f.after, true
		switch f.tag {
		case tag1:
			ok = e.GetEvent() == nil && r.event(m, f)
			e.Event = &m.event
		case tag2:
			ok = r.repeated(&e.Topic, &r.known.topic, f)
		case int3:
			e.Sequence = int64(f.value)
		case tag4:
			ok = r.string(&e.Cursor, f)
		case tag5:
			ok = e.GetPublishTime() == nil && r.time(&m.publishTime.Seconds, &m.publishTime.Nanos, f)
			e.PublishTime = &m.publishTime
		case tag6:
			ok = r.repeated(&e.SchemaRevision, &r.known.revision, f)
		case tag7:
			ok = r.repeated(&e.Publisher, &r.known.publisher, f)
		default:
			return false
		}
		if !ok {
			return false
		}
	}
	return true
}

func (r *run) event(m *eventMemory, message field) (ok bool) {
	e := &m.event
	for at := message.from; at < message.to; {
		f := fieldAt(r.data, at, message.to)
		at = f.after
		switch f.tag {
		case tag1:
			ok = r.string(&e.Id, f)
		case tag2:
			ok = r.repeated(&e.Source, &r.known.source, f)
		case tag3:
			ok = r.repeated(&e.Subject, &r.known.subject, f)
		case tag4:
			ok = e.GetTime() == nil
			set := new(timestamppb.Timestamp)
			ok = ok && r.time(&set.Seconds, &set.Nanos, f)
			e.Time = set
		case tag5:
			ok = r.string(&m.key, f)
			e.PartitionKey = &m.key
		case tag6:
			ok = r.attribute(e, f)
		case tag7:
			ok = e.GetData() == nil && r.any(&m.data, f)
			e.Data = &m.data
		default:
			return false
		}
		if !ok {
			return false
		}
	}
	return true
}

func (r *run) attribute(e *tidingsv1.Event, message field) (ok bool) {
	var key, value string
	for at := message.from; at < message.to; {
		f := fieldAt(r.data, at, message.to)
		at = f.after
		switch f.tag {
		case tag1:
			ok = r.string(&key, f)
		case tag2:
			ok = r.string(&value, f)
		default:
			return false
		}
		if !ok {
			return false
		}
	}
	if e.Attributes == nil {
		e.Attributes = make(map[string]string)
	}
	e.Attributes[key] = value
	return true
}

func (r *run) any(data *anypb.Any, message field) bool {
	for at := message.from; at < message.to; {
		f := fieldAt(r.data, at, message.to)
		at = f.after
		switch f.tag {
		case tag1:
			if !r.repeated(&data.TypeUrl, &r.known.typeURL, f) {
				return false
			}
		case tag2:
			data.Value = r.copy(f)
		default:
			return false
		}
	}
	return true
}

// time decodes a Timestamp, or a Duration, which has the same fields.
func (r *run) time(seconds *int64, nanos *int32, message field) bool {
	for at := message.from; at < message.to; {
		f := fieldAt(r.data, at, message.to)
		at = f.after
		switch f.tag {
		case int1:
			*seconds = int64(f.value)
		case int2:
			*nanos = int32(f.value)
		default:
			return false
		}
	}
	return true
}
