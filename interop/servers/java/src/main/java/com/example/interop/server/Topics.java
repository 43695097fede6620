package com.example.interop.server;

import com.example.tidings.v1.Dedupe;
import com.example.tidings.v1.ErrorReason;
import com.example.tidings.v1.Topic;
import com.google.protobuf.Duration;
import com.google.protobuf.Timestamp;
import com.google.protobuf.util.Durations;
import java.time.Instant;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;

/** The topics by name. Whoever uses them or what is in them holds their monitor. */
final class Topics {
  private static final Duration DEFAULT_DEDUPE_WINDOW = Durations.fromMinutes(2);

  private final NavigableMap<String, TopicLog> logs = new TreeMap<>();
  private long lastEtag;

  /** Creates the topics that event types declare. */
  Topics(EventTypes types) {
    types.all().stream()
        .map(type -> type.options().getTopic())
        .filter(name -> !name.isEmpty())
        .distinct()
        .forEach(name -> create(Topic.newBuilder().setName(name).build()));
  }

  /** Returns the topics whose names come after another. */
  Iterable<TopicLog> after(String name) {
    return logs.tailMap(name, false).values();
  }

  TopicLog get(String name) {
    TopicLog log = logs.get(name);
    if (log == null) {
      throw Fault.of(
          ErrorReason.ERROR_REASON_TOPIC_NOT_FOUND,
          "topic \"" + name + "\" doesn't exist",
          Map.of("topic", name));
    }
    return log;
  }

  /** Returns the topic whose etag, unless the given one is empty, is that. */
  TopicLog get(String name, String etag) {
    TopicLog log = get(name);
    String present = log.topic().getEtag();
    if (!etag.isEmpty() && !etag.equals(present)) {
      throw Fault.of(
          ErrorReason.ERROR_REASON_TOPIC_ETAG_MISMATCH,
          "topic \"" + name + "\" has been changed: its etag is now " + present,
          Map.of("topic", name, "etag", present));
    }
    return log;
  }

  Topic create(Topic asked) {
    if (logs.containsKey(asked.getName())) {
      throw Fault.of(
          ErrorReason.ERROR_REASON_TOPIC_ALREADY_EXISTS,
          "topic \"" + asked.getName() + "\" exists",
          Map.of("topic", asked.getName()));
    }
    Topic.Builder topic = asked.toBuilder().clearStatistics();
    if (topic.getDedupe() == Dedupe.DEDUPE_UNSPECIFIED) {
      topic.setDedupe(Dedupe.DEDUPE_REQUEST);
    }
    settle(topic);
    topic.setCreateTime(topic.getUpdateTime());
    TopicLog log = new TopicLog(topic.build());
    logs.put(asked.getName(), log);
    return log.topic();
  }

  Topic update(TopicLog log, Topic.Builder topic) {
    settle(topic);
    log.setTopic(topic.build());
    return log.topic();
  }

  void delete(TopicLog log) {
    logs.remove(log.topic().getName());
  }

  /** Fills what follows from a change. */
  private void settle(Topic.Builder topic) {
    if (!topic.hasDedupeWindow()) {
      topic.setDedupeWindow(DEFAULT_DEDUPE_WINDOW);
    }
    if (topic.getRetention().hasMaxAge()
        && Durations.compare(topic.getRetention().getMaxAge(), topic.getDedupeWindow()) < 0) {
      topic.setDedupeWindow(topic.getRetention().getMaxAge());
    }
    topic.setEtag(Long.toString(++lastEtag)).setUpdateTime(now());
  }

  static Timestamp now() {
    Instant now = Instant.now();
    return Timestamp.newBuilder().setSeconds(now.getEpochSecond()).setNanos(now.getNano()).build();
  }
}
