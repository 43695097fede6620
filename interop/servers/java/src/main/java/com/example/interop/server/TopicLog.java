package com.example.interop.server;

import com.example.tidings.options.v1.Dedupe;
import com.example.tidings.v1.Event;
import com.example.tidings.v1.Topic;
import com.example.tidings.v1.TopicStatistics;
import com.google.protobuf.Message;
import com.google.protobuf.Timestamp;
import com.google.protobuf.util.Durations;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A topic with its events. They stay until the topic is deleted: this server keeps nothing that
 * could grow old.
 */
final class TopicLog {
  private static final long FIRST_SEQUENCE = 4096;

  /** An event that passed every check: with its partition key, and with its content decoded. */
  record Checked(int index, Event event, Message payload) {
    boolean isSameAs(Checked other) {
      return envelope().equals(other.envelope()) && payload.equals(other.payload);
    }

    /** What counts of the event besides its content: the trace that it was sent in doesn't. */
    private Event envelope() {
      return event.toBuilder()
          .clearData()
          .removeAttributes("traceparent")
          .removeAttributes("tracestate")
          .build();
    }

    EventId id() {
      return EventId.of(event);
    }
  }

  /** What names an event. */
  record EventId(String source, String id) {
    static EventId of(Event event) {
      return new EventId(event.getSource(), event.getId());
    }
  }

  /** An event that is stored. */
  record Stored(long sequence, Checked checked) {}

  private record Remembered(long until, List<Stored> stored) {}

  private final List<Stored> events = new ArrayList<>();
  private final Map<String, Long> lastOfKey = new HashMap<>();

  /** What is recognised, and until when by {@link System#nanoTime}. */
  private final Map<Object, Remembered> identities = new LinkedHashMap<>();

  private Topic topic;
  private long storedBytes;
  private Timestamp latestPublishTime;

  TopicLog(Topic topic) {
    this.topic = topic;
  }

  Topic topic() {
    return topic;
  }

  void setTopic(Topic topic) {
    this.topic = topic;
  }

  /** Says whether events are recognised one by one. */
  boolean byEvent() {
    return topic.getSettings().getDedupe() == Dedupe.DEDUPE_EVENT;
  }

  /** Returns the sequence of the last event, or 0. */
  long latestSequence() {
    return events.isEmpty() ? 0 : events.get(events.size() - 1).sequence();
  }

  /** Returns the sequence of the last event with a partition key, or 0. */
  long latestSequence(String key) {
    return lastOfKey.getOrDefault(key, 0L);
  }

  TopicStatistics statistics() {
    var statistics = 
        TopicStatistics.newBuilder().setStoredBytes(storedBytes).setEventCount(events.size());
    if (!events.isEmpty()) {
      statistics
          .setEarliestSequence(events.get(0).sequence())
          .setLatestSequence(latestSequence())
          .setLatestPublishTime(latestPublishTime);
    }
    return statistics.build();
  }

  /** Returns what was stored under an identity within the dedupe window, or null. */
  List<Stored> recognise(Object identity) {
    long now = System.nanoTime();
    // They were remembered in this order, and for the same time unless that was changed.
    Iterator<Remembered> oldest = identities.values().iterator();
    while (oldest.hasNext() && oldest.next().until() - now <= 0) {
      oldest.remove();
    }
    Remembered remembered = identities.get(identity);
    return remembered == null || remembered.until() - now <= 0 ? null : remembered.stored();
  }

  /** Stores events and recognises them by an identity for the dedupe window. */
  List<Stored> append(Object identity, List<Checked> checked) {
    latestPublishTime = Topics.now();
    List<Stored> stored = new ArrayList<>();
    for (Checked each : checked) {
      long sequence = Math.max(latestSequence() + 1, FIRST_SEQUENCE);
      Stored event = new Stored(sequence, each);
      stored.add(event);
      events.add(event);
      storedBytes += each.event().getSerializedSize();
      if (!each.event().getPartitionKey().isEmpty()) {
        lastOfKey.put(each.event().getPartitionKey(), sequence);
      }
    }
    identities.remove(identity);
    long until = System.nanoTime() + window();
    identities.put(identity, new Remembered(until, List.copyOf(stored)));
    return stored;
  }

  /** Returns for how long identities are recognised: never longer than events are kept. */
  private long window() {
    long window = Durations.toNanos(topic.getSettings().getDedupeWindow());
    return topic.getSettings().getRetention().hasMaxAge()
        ? Math.min(window, Durations.toNanos(topic.getSettings().getRetention().getMaxAge()))
        : window;
  }
}
