package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// quietly are options for what is expected to go wrong.
func quietly(options ReaderOptions) ReaderOptions {
	options.Logger = slog.New(slog.DiscardHandler)
	return options
}

// sequencesOf reads to the end, and checks that each event has its content.
func sequencesOf(t *testing.T, ctx context.Context, reader *Reader) (sequences []int64, last error) { //nolint:revive // The test comes first, as in helpers.
	t.Helper()
	for event, err := range reader.Events(ctx) {
		if err != nil {
			return sequences, err
		}
		if content, ok := event.Message.(*wrapperspb.Int64Value); !ok || content.GetValue() != event.GetSequence() {
			t.Errorf("event %d has the content %v", event.GetSequence(), event.Message)
		}
		sequences = append(sequences, event.GetSequence())
	}
	return sequences, nil
}

// starts returns the cursors that the calls began after, and the events that they asked for.
func starts(requests []*tidingsv1.ReadRequest) (all []string) {
	for _, request := range requests {
		all = append(all, fmt.Sprintf("%s %d", request.GetStart().GetCursor(), request.GetMaxEvents()))
	}
	return all
}

// Each call goes on after the last position that any frame told.
func TestReadOverLostCalls(t *testing.T) {
	overReads(t, func(t *testing.T, client func(*readServer) *Client) {
		server := &readServer{scripts: []readScript{
			sending(ending(codes.Unavailable, "SERVER_DRAINING"), recorded(t, 1, 2), checkpoint("after 5"),
				&tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Draining{Draining: new(tidingsv1.Draining)}}),
			sending(ending(codes.Unavailable, "STORAGE_UNAVAILABLE"), recorded(t, 6), heartbeat("after 9")),
			sending(nil, recorded(t, 10), new(tidingsv1.ReadResponse)),
			sending(nil, recorded(t, 11)),
		}}
		reader := client(server).Reader("orders", quietly(ReaderOptions{MaxEvents: 5}))
		sequences, err := sequencesOf(t, t.Context(), reader)
		if want := []int64{1, 2, 6, 10, 11}; !slices.Equal(sequences, want) || err != nil {
			t.Errorf("read %v, %v", sequences, err)
		}
		if got, want := starts(server.asked()), []string{" 5", "after 5 3", "after 9 2", "after 10 1"}; !slices.Equal(got, want) {
			t.Errorf("calls began after %q", got)
		}
		if reader.Cursor() != "after 11" {
			t.Errorf("the cursor is %q", reader.Cursor())
		}
		if again, err := sequencesOf(t, t.Context(), reader); len(again) > 0 || err != nil || len(server.asked()) != 4 {
			t.Errorf("read %v after the last, %v", again, err)
		}
	})
}

// An end in good order is the stop position where there is one.
func TestReadStops(t *testing.T) {
	overReads(t, func(t *testing.T, client func(*readServer) *Client) {
		server := &readServer{scripts: []readScript{sending(nil, recorded(t, 1))}}
		stop := &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}}
		start := &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Sequence{Sequence: 1}}
		filter := &tidingsv1.EventFilter{Cel: "true"}
		sequences, err := sequencesOf(t, t.Context(), client(server).Reader("orders", ReaderOptions{Start: start, Stop: stop, Filter: filter}))
		if !slices.Equal(sequences, []int64{1}) || err != nil {
			t.Errorf("read %v, %v", sequences, err)
		}
		if r := server.asked()[0]; r.GetTopic() != "orders" || r.GetStart().GetSequence() != 1 || !r.GetStop().GetCaughtUp() || r.GetFilter().GetCel() != "true" {
			t.Errorf("asked for %v", r)
		}
	})
}

// What no other call would mend ends the reading.
func TestReadFails(t *testing.T) {
	for reason, code := range map[string]codes.Code{
		"CURSOR_EXPIRED": codes.OutOfRange, "TOPIC_NOT_FOUND": codes.NotFound, "STORAGE_DAMAGED": codes.DataLoss, "": codes.PermissionDenied,
	} {
		overReads(t, func(t *testing.T, client func(*readServer) *Client) {
			server := &readServer{scripts: []readScript{sending(ending(code, reason), recorded(t, 3))}}
			reader := client(server).Reader("orders", quietly(ReaderOptions{}))
			sequences, err := sequencesOf(t, t.Context(), reader)
			if !slices.Equal(sequences, []int64{3}) || err == nil || Reason(err) != reason || reader.Cursor() != "after 3" {
				t.Errorf("read %v, %v", sequences, err)
			}
		})
	}
}

// Leaving the loop ends the call, and the next loop goes on after the event.
func TestLeavingTheLoop(t *testing.T) {
	overReads(t, func(t *testing.T, client func(*readServer) *Client) {
		over := make(chan struct{})
		server := &readServer{scripts: []readScript{
			waiting(over, recorded(t, 1, 2, 3)),
			sending(nil, recorded(t, 3)),
		}}
		reader := client(server).Reader("orders", ReaderOptions{MaxEvents: 3})
		for event, err := range reader.Events(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if event.GetSequence() == 2 {
				break
			}
		}
		<-over
		sequences, err := sequencesOf(t, t.Context(), reader)
		if !slices.Equal(sequences, []int64{3}) || err != nil {
			t.Errorf("read %v, %v", sequences, err)
		}
		if got, want := starts(server.asked()), []string{" 3", "after 2 1"}; !slices.Equal(got, want) {
			t.Errorf("calls began after %q", got)
		}
	})
}

// The end of the context ends the call and is the last error, by its cause.
func TestReadUntilTheContextEnds(t *testing.T) {
	overReads(t, func(t *testing.T, client func(*readServer) *Client) {
		over := make(chan struct{})
		server := &readServer{scripts: []readScript{waiting(over, recorded(t, 1))}}
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		why := errors.New("enough")
		var last error
		for _, err := range client(server).Reader("orders", quietly(ReaderOptions{})).Events(ctx) {
			last = err
			cancel(why)
		}
		<-over
		if !errors.Is(last, why) {
			t.Errorf("ended with %v", last)
		}
	})
}

// An event that the program can't decode is an error, and the next one follows.
func TestReadContentThatCannotBeDecoded(t *testing.T) {
	frame := recorded(t, 1, 2, 3, 4)
	events := frame.GetEvents().GetEvents()
	events[0].Event.Data = nil
	events[1].Event.Data = &anypb.Any{TypeUrl: "type.googleapis.com/acme.v1.Unknown"}
	events[2].Event.Data.Value = []byte{0xff}
	inBubble(t, ReaderOptions{MaxEvents: 4}, []readScript{sending(nil, frame)}, func(t *testing.T, reader *Reader, _ *readServer) {
		var got []string
		for event, err := range reader.Events(t.Context()) {
			content, _ := errors.AsType[*ContentError](err)
			switch {
			case content != nil:
				got = append(got, fmt.Sprintf("%d: %s, unknown: %t, decoded: %t", event.GetSequence(), content.Type, errors.Is(err, protoregistry.NotFound), event.Message != nil))
			case err != nil:
				t.Fatal(err)
			default:
				got = append(got, fmt.Sprintf("%d: decoded: %t", event.GetSequence(), event.Message != nil))
			}
		}
		want := []string{
			"1: decoded: false", "2: acme.v1.Unknown, unknown: true, decoded: false",
			"3: google.protobuf.Int64Value, unknown: false, decoded: false", "4: decoded: true",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	})
}

func TestReadFrames(t *testing.T) {
	overReads(t, func(t *testing.T, client func(*readServer) *Client) {
		gap := &tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Gap{Gap: &tidingsv1.Gap{FirstSequence: 1, NextSequence: 4}}}
		caughtUp := &tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_CaughtUp{CaughtUp: &tidingsv1.CaughtUp{Cursor: "after 6"}}}
		server := &readServer{scripts: []readScript{
			sending(ending(codes.Unavailable, "SERVER_DRAINING"), gap, recorded(t, 4, 5), caughtUp),
			sending(ending(codes.OutOfRange, "CURSOR_EXPIRED"), heartbeat("after 7")),
		}}
		reader := client(server).Reader("orders", quietly(ReaderOptions{}))
		var got []string
		var last error
		for frame, err := range reader.Frames(t.Context()) {
			if last = err; err == nil {
				got = append(got, fmt.Sprintf("%T, at %q", frame.GetFrame(), reader.Cursor()))
			}
		}
		want := []string{
			`*tidingsv1.ReadResponse_Gap, at ""`, `*tidingsv1.ReadResponse_Events, at "after 5"`,
			`*tidingsv1.ReadResponse_CaughtUp, at "after 6"`, `*tidingsv1.ReadResponse_Heartbeat, at "after 7"`,
		}
		if !slices.Equal(got, want) || Reason(last) != "CURSOR_EXPIRED" {
			t.Errorf("got %q, %v", got, last)
		}
	})
}

// inBubble runs a test with a reader without a protocol, where time passes by itself.
func inBubble(t *testing.T, options ReaderOptions, scripts []readScript, test func(t *testing.T, reader *Reader, server *readServer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := &readServer{scripts: scripts}
		reader := (&Client{calls: readCalls{server: server}}).Reader("orders", options)
		test(t, reader, server)
	})
}

// A connection on which nothing comes is left, but not for the time that the loop takes.
func TestSilenceOfTheServer(t *testing.T) {
	over := make(chan struct{})
	scripts := []readScript{
		waiting(over, recorded(t, 1), heartbeat("after 4")),
		sending(nil, recorded(t, 5)),
	}
	var said []error
	options := quietly(ReaderOptions{MaxEvents: 2, Trace: ReaderTrace{Reconnecting: func(err error, _ time.Duration) { said = append(said, err) }}})
	inBubble(t, options, scripts, func(t *testing.T, reader *Reader, server *readServer) {
		begun := time.Now()
		for event, err := range reader.Events(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if event.GetSequence() == 1 {
				<-time.After(time.Minute)
			}
		}
		took := time.Since(begun) - time.Minute
		if took < readSilence || took > readSilence+firstDelay {
			t.Errorf("noticed after %s", took)
		}
		if len(said) != 1 || !errors.Is(said[0], errSilent) || server.asked()[1].GetStart().GetCursor() != "after 4" {
			t.Errorf("lost because of %v, then asked for %v", said, server.asked())
		}
		if got := server.asked()[0].GetHeartbeatInterval().AsDuration(); got != readHeartbeat {
			t.Errorf("asked for heartbeats every %s", got)
		}
	})
}

// Delays double up to a limit, with jitter, after the time that the server asks for, and
// begin anew when something came.
func TestReadBacksOff(t *testing.T) {
	drains := sending(ending(codes.Unavailable, "SERVER_DRAINING"))
	scripts := slices.Repeat([]readScript{drains}, 8)
	scripts = append(scripts, sending(io.EOF, heartbeat("")),
		sending(ending(codes.Unavailable, "STORAGE_UNAVAILABLE", &errdetails.RetryInfo{RetryDelay: durationpb.New(20 * time.Second)})),
		sending(nil, recorded(t, 1)))
	var delays, waits []time.Duration
	var ended time.Time
	options := quietly(ReaderOptions{MaxEvents: 1, Trace: ReaderTrace{Reconnecting: func(_ error, delay time.Duration) {
		if !ended.IsZero() {
			waits = append(waits, time.Since(ended))
		}
		delays, ended = append(delays, delay), time.Now()
	}}})
	inBubble(t, options, scripts, func(t *testing.T, reader *Reader, _ *readServer) {
		if _, err := sequencesOf(t, t.Context(), reader); err != nil {
			t.Fatal(err)
		}
		waits = append(waits, time.Since(ended))
		ms := time.Millisecond
		want := []time.Duration{250 * ms, 500 * ms, 1000 * ms, 2000 * ms, 4000 * ms, 8000 * ms, 10000 * ms, 10000 * ms, 250 * ms, 20500 * ms}
		if !slices.Equal(delays, want) {
			t.Errorf("delays %v", delays)
		}
		for i, wait := range waits {
			asked := time.Duration(0)
			if i == len(want)-1 {
				asked = 20 * time.Second
			}
			if jitter := want[i] - asked; wait < asked+jitter/2 || wait > asked+jitter {
				t.Errorf("delay %d of at most %s took %s", i, want[i], wait)
			}
		}
	})
}

// The end of the context ends the wait for another call too.
func TestContextEndsWhileNothingIsThere(t *testing.T) {
	drains := sending(ending(codes.Unavailable, "SERVER_DRAINING"))
	inBubble(t, quietly(ReaderOptions{}), slices.Repeat([]readScript{drains}, 100), func(t *testing.T, reader *Reader, _ *readServer) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begun := time.Now()
		if _, err := sequencesOf(t, ctx, reader); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Minute {
			t.Errorf("ended with %v after %s", err, time.Since(begun))
		}
	})
}

// What retention took away is said.
func TestGapIsLogged(t *testing.T) {
	gap := &tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Gap{Gap: &tidingsv1.Gap{FirstSequence: 1, NextSequence: 4}}}
	var log bytes.Buffer
	options := ReaderOptions{MaxEvents: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	inBubble(t, options, []readScript{sending(nil, gap, recorded(t, 4))}, func(t *testing.T, reader *Reader, _ *readServer) {
		sequences, err := sequencesOf(t, t.Context(), reader)
		if !slices.Equal(sequences, []int64{4}) || err != nil || !strings.Contains(log.String(), `"first sequence"=1 "next sequence"=4`) {
			t.Errorf("read %v, %v; logged %s", sequences, err, &log)
		}
	})
}
