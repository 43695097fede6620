package com.example.interop.server;

import com.example.tidings.options.v1.Dedupe;
import com.example.tidings.options.v1.Retention;
import com.example.tidings.options.v1.TopicSettings;
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
    Topic.Builder topic =
        Topic.newBuilder().setName(asked.getName()).setSettings(asked.getSettings());
    complete(topic.getSettingsBuilder());
    settle(topic);
    topic.setCreateTime(topic.getUpdateTime());
    TopicLog log = new TopicLog(topic.build());
    logs.put(asked.getName(), log);
    return log.topic();
  }

  /** Gives a topic other settings, unless they are those that it has. */
  Topic update(TopicLog log, Topic.Builder topic) {
    if (topic.getSettings().equals(log.topic().getSettings())) {
      return log.topic();
    }
    settle(topic);
    log.setTopic(topic.build());
    return log.topic();
  }

  void delete(TopicLog log) {
    logs.remove(log.topic().getName());
  }

  /** Gives what is unset its default. */
  static void complete(TopicSettings.Builder settings) {
    if (settings.getDedupe() == Dedupe.DEDUPE_UNSPECIFIED) {
      settings.setDedupe(Dedupe.DEDUPE_REQUEST);
    }
    if (!settings.hasDedupeWindow()) {
      settings.setDedupeWindow(DEFAULT_DEDUPE_WINDOW);
    }
    if (settings.getRetention().equals(Retention.getDefaultInstance())) {
      settings.clearRetention();
    }
  }

  /** Fills what follows from a change. */
  private void settle(Topic.Builder topic) {
    topic.setEtag(Long.toString(++lastEtag)).setUpdateTime(now());
  }

  static Timestamp now() {
    Instant now = Instant.now();
    return Timestamp.newBuilder().setSeconds(now.getEpochSecond()).setNanos(now.getNano()).build();
  }
}
