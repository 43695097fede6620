package engine

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func streamName(topic string) string { return "tidings-topic-" + topic }

func (e *Engine) topicStream(topic *Topic) jetstream.StreamConfig {
	config := topic.Config
	stream := jetstream.StreamConfig{
		Name:               streamName(topic.Name),
		Description:        "Records of the Tidings topic " + topic.Name,
		Subjects:           []string{subject(topic.Name, ""), subject(topic.Name, "*")},
		Storage:            jetstream.FileStorage,
		Retention:          jetstream.LimitsPolicy,
		Discard:            jetstream.DiscardOld,
		Replicas:           e.replicas,
		MaxAge:             config.GetRetention().GetMaxAge().AsDuration(),
		MaxBytes:           -1,
		MaxMsgs:            -1,
		MaxMsgsPerSubject:  -1,
		MaxMsgSize:         -1,
		MaxConsumers:       -1,
		AllowAtomicPublish: true,
		Duplicates:         config.GetDedupeWindow().AsDuration(),
	}
	if bytes := config.GetRetention().GetMaxBytes(); bytes > 0 {
		stream.MaxBytes = bytes
	}
	if stream.MaxAge > 0 {
		// JetStream wants it so.
		stream.Duplicates = min(stream.Duplicates, stream.MaxAge)
	}
	if stream.Duplicates < minDuplicates {
		stream.Duplicates = minDuplicates
	}
	return stream
}

// minDuplicates is JetStream's lower bound of a window.
const minDuplicates = 100 * time.Millisecond
