package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// The sections of the report.
var (
	publishing = section{"Publish", "raw", rates}
	checking   = section{"Publish what the server checks less", "all rules", rates}
	reading    = section{"Read", "raw", rates}
	consuming  = section{"Consume and acknowledge", "raw", rates}
	alone      = section{"One event a call, one caller", "raw", calls}
	together   = section{"One event a call, 64 callers", "raw", calls}
)

// moving is a row whose workload moves all events in each pass.
func moving(cfg config, section section, name, against string, pass func(context.Context) (time.Duration, error)) row {
	return row{name: name, section: section, against: against, measure: func(ctx context.Context, least time.Duration) (sample, error) {
		return throughput(ctx, least, cfg.events, pass)
	}}
}

// calling is a row whose callers make calls of one event each.
func calling(cfg config, section section, name, against string, callers int, open opener) row {
	return row{name: name, section: section, against: against, measure: func(ctx context.Context, least time.Duration) (sample, error) {
		return latency(ctx, least, callers, cfg.events, open)
	}}
}

// rows are those of the main suite.
func (s *servers) rows(cfg config) []row {
	moves := func(section section, name, against string, pass func(context.Context) (time.Duration, error)) row {
		return moving(cfg, section, name, against, pass)
	}
	calls := func(section section, name, against string, callers int, open opener) row {
		return calling(cfg, section, name, against, callers, open)
	}
	const rawPublish, rawRead, rawConsume, rawAlone, rawTogether = "raw NATS, a message an event", "raw NATS, read a message an event",
		"raw NATS, pull and ack a message an event", "raw NATS, one caller", "raw NATS, 64 callers"
	batches := fmt.Sprintf("batches of %d", cfg.batch)
	of := func(t *tidings, name string) []row {
		return []row{
			moves(publishing, name+", pre-encoded, "+batches, rawPublish, t.publishEncoded),
			moves(publishing, name+", generated client, "+batches, rawPublish, t.publishTyped),
			moves(publishing, name+", client.Publisher, "+batches, rawPublish, t.publishClient),
			moves(reading, name+", read without decoding", rawRead, t.readEncoded),
			moves(reading, name+", read with the generated client", rawRead, t.readTyped),
			moves(reading, name+", read with client.Reader, frames", rawRead, t.readFrames),
			moves(reading, name+", read with client.Reader, contents decoded", rawRead, t.readEvents),
			moves(consuming, name+", consume and ack without decoding", rawConsume, t.consumeEncoded),
			moves(consuming, name+", consume and ack with the generated client", rawConsume, t.consumeTyped),
			moves(consuming, name+", client.Consumer", rawConsume, t.consumeClient),
			moves(consuming, fmt.Sprintf("%s, client.Consumer, ordered by %d keys", name, consumerKeys), rawConsume, t.consumeOrdered),
			calls(alone, name+" Publish, pre-encoded, one caller", rawAlone, 1, t.encodedPublisher),
			calls(alone, name+" Publish, one caller", rawAlone, 1, t.publisher),
			calls(together, name+" Publish, pre-encoded, 64 callers", rawTogether, manyCallers, t.encodedPublisher),
			calls(together, name+" Publish, 64 callers", rawTogether, manyCallers, t.publisher),
			calls(together, name+" client.Publisher, 64 callers", rawTogether, manyCallers, t.sharedPublisher),
		}
	}
	rows := []row{
		moves(publishing, rawPublish, rawPublish, s.raw.publishSingle),
		moves(publishing, "raw NATS, packed by its client, "+batches, rawPublish, s.raw.publishPacked),
		moves(publishing, "echo over gRPC, no storage, "+batches, rawPublish, s.echo.stream),
		moves(reading, rawRead, rawRead, s.raw.readSingle),
		moves(reading, "raw NATS, packed, taken apart by its client", rawRead, s.raw.readPacked),
		moves(reading, "raw NATS, packed, events decoded by its client", rawRead, s.raw.readDecoded),
		moves(reading, "raw NATS, packed, events and contents decoded", rawRead, s.raw.readContents),
		moves(consuming, rawConsume, rawConsume, s.raw.consumeSingle),
		calls(alone, rawAlone, rawAlone, 1, s.raw.publisher),
		calls(alone, "echo over gRPC, one caller", rawAlone, 1, s.echo.caller),
		calls(together, rawTogether, rawTogether, manyCallers, s.raw.publisher),
		calls(together, "echo over gRPC, 64 callers", rawTogether, manyCallers, s.echo.caller),
	}
	rows = append(rows, of(s.tidings, "Tidings")...)
	const checked = "orders, with all their rules"
	rows = append(rows,
		moves(checking, checked, checked, s.tidings.publishEncoded),
		moves(checking, "orders, their type without rules", checked, s.tidings.publishBare),
		moves(checking, "orders as bytes in one field, with their key", checked, s.tidings.publishKeyed),
		moves(checking, "orders as bytes in one field", checked, s.tidings.publishBytes))
	if s.other != nil {
		rows = append(rows, of(s.other, "the other Tidings")...)
	}
	// What is compared is measured close together.
	order := []section{publishing, checking, reading, consuming, alone, together}
	slices.SortStableFunc(rows, func(a, b row) int {
		return slices.Index(order, a.section) - slices.Index(order, b.section)
	})
	return rows
}
