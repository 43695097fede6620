package filter

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/eventwire"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// event is an event as a filter asks about it. What takes time is made when it is
// asked for.
type event struct {
	eventwire.Event

	attributed bool // The attributes have been read.
	attributes []eventwire.Attribute
	timeText   string
}

// scanAttributes reads the attributes, once.
func (e *event) scanAttributes() (err error) {
	if e.attributed {
		return nil
	}
	e.attributed = true
	e.attributes, _, err = e.AppendAttributes(nil)
	return err
}

// timestamp is the event's time, or nil.
func (e *event) timestamp() *timestamppb.Timestamp {
	if !e.HasTime {
		return nil
	}
	return &timestamppb.Timestamp{Seconds: e.Seconds, Nanos: e.Nanos}
}

// timeAttribute is the time as protobuf's JSON has it: RFC 3339 in UTC, the
// fraction of a second in no, three, six or nine digits. Empty where the event
// has no time.
func (e *event) timeAttribute() string {
	if e.timeText == "" {
		stamp := e.timestamp()
		if stamp.CheckValid() != nil {
			return ""
		}
		layout := "2006-01-02T15:04:05.000000000Z"
		switch {
		case e.Nanos == 0:
			layout = "2006-01-02T15:04:05Z"
		case e.Nanos%1e6 == 0:
			layout = "2006-01-02T15:04:05.000Z"
		case e.Nanos%1e3 == 0:
			layout = "2006-01-02T15:04:05.000000Z"
		}
		e.timeText = time.Unix(e.Seconds, int64(e.Nanos)).UTC().Format(layout)
	}
	return e.timeText
}

// message is the event without its payload, for CEL. It shares the event's
// memory.
func (e *event) message() (*tidingsv1.Event, error) {
	if err := e.scanAttributes(); err != nil {
		return nil, err
	}
	message := &tidingsv1.Event{
		Id:      e.ID,
		Source:  e.Source,
		Subject: e.Subject,
		Time:    e.timestamp(),
	}
	if e.HasKey {
		message.PartitionKey = &e.Key
	}
	if len(e.attributes) > 0 {
		message.Attributes = make(map[string]string, len(e.attributes))
		for _, a := range e.attributes {
			message.Attributes[a.Name] = a.Value
		}
	}
	return message, nil
}
