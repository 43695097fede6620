package com.example.interop.server;

import com.example.tidings.v1.ErrorReason;
import com.example.tidings.v1.Precondition;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What must hold for events to be stored. */
final class Preconditions {
  private Preconditions() {}

  /** Fails where two are about the same. Without a key one is about the topic. */
  static void checkSubjects(List<Precondition> preconditions) {
    Map<String, Integer> seen = new HashMap<>();
    for (int i = 0; i < preconditions.size(); i++) {
      Integer first = seen.putIfAbsent(preconditions.get(i).getPartitionKey(), i);
      if (first != null) {
        throw Fault.of(
            ErrorReason.ERROR_REASON_REQUEST_INVALID,
            "preconditions[" + i + "]",
            "is about the same as preconditions[" + first + "]",
            Map.of());
      }
    }
  }

  /**
   * Fails where one doesn't hold. Events stay in this server, so that a key or a topic has one if
   * it has a last sequence.
   */
  static void check(TopicLog log, List<Precondition> preconditions) {
    for (int i = 0; i < preconditions.size(); i++) {
      Precondition precondition = preconditions.get(i);
      String key = precondition.getPartitionKey();
      long last = key.isEmpty() ? log.latestSequence() : log.latestSequence(key);
      String actual = last == 0 ? "none" : Long.toString(last);
      boolean holds;
      String expected;
      if (precondition.hasLastSequence()) {
        holds = precondition.getLastSequence() == last;
        expected = Long.toString(precondition.getLastSequence());
      } else {
        holds = precondition.getExists() == (last != 0);
        expected = precondition.getExists() ? "some" : "none";
      }
      if (!holds) {
        Fault fault =
            Fault.of(
                ErrorReason.ERROR_REASON_SEQUENCE_MISMATCH,
                "preconditions[" + i + "]",
                "the last event is " + actual + ", expected was " + expected,
                Map.of("expected", expected, "actual", actual));
        throw key.isEmpty() ? fault : fault.with("partition_key", key);
      }
    }
  }
}
