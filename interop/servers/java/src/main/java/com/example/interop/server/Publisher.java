package com.example.interop.server;

import build.buf.validate.FieldPathElement;
import build.buf.validate.Violation;
import com.example.interop.server.EventTypes.EventType;
import com.example.interop.server.TopicLog.Checked;
import com.example.interop.server.TopicLog.EventId;
import com.example.interop.server.TopicLog.Stored;
import com.example.tidings.v1.ErrorReason;
import com.example.tidings.v1.Event;
import com.example.tidings.v1.PublishRequest;
import com.example.tidings.v1.PublishResponse;
import com.example.tidings.v1.Receipt;
import com.google.protobuf.DynamicMessage;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Checks and stores the events of one request, whichever RPC it came by. */
final class Publisher {
  private static final FieldPathElement DATA =
      FieldPathElement.newBuilder().setFieldName("data").setFieldNumber(7).build();

  private static final Pattern NAME =
      Pattern.compile("[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*");

  private final EventTypes types;
  private final Topics topics;

  Publisher(EventTypes types, Topics topics) {
    this.types = types;
    this.topics = topics;
  }

  /** Stores the events of a request. Their indexes in errors are counted from a base. */
  PublishResponse publish(PublishRequest request, long base) {
    checkCount(request, Limits.MAX_EVENTS, "");
    Map<Long, List<Violation>> violations = checkEnvelopes(request);
    Preconditions.checkSubjects(request.getPreconditionsList());
    String name = request.getTopic();
    if (name.isEmpty()) {
      name = declaredTopic(request.getEventsList());
    }
    synchronized (topics) {
      // Without a topic no event has a type that is known.
      TopicLog log = name.isEmpty() ? null : topics.get(name);
      var response = PublishResponse.newBuilder().setTopic(name);
      List<Checked> checked = new ArrayList<>();
      if (log != null && log.byEvent()) {
        checkCount(request, Limits.MAX_EVENTS_BY_EVENT, " in a topic with DEDUPE_EVENT");
      }
      for (int i = 0; i < request.getEventsCount(); i++) {
        try {
          checkEnvelope(violations.getOrDefault((long) i, List.of()), base + i);
          checked.add(check(log, request.getEvents(i), i, base + i));
        } catch (Fault fault) {
          if (!request.getSkipInvalid()) {
            throw fault;
          }
          response
              .addRefusedEventsBuilder()
              .setIndex(base + i)
              .setId(request.getEvents(i).getId())
              .setError(fault.toProto());
        }
      }
      if (log == null && request.getPreconditionsCount() > 0) {
        throw Fault.of(
            ErrorReason.ERROR_REASON_TOPIC_UNDETERMINED, "topic", "must be set", Map.of());
      }
      if (!checked.isEmpty()) {
        response.addAllReceipts(
            log.byEvent() ? storeEach(log, request, checked) : store(log, request, checked));
      } else if (log != null) {
        Preconditions.check(log, request.getPreconditionsList());
      }
      return response.build();
    }
  }

  /** Fails where a request has too many events; all would be checked otherwise. */
  private static void checkCount(PublishRequest request, int most, String where) {
    if (request.getEventsCount() > most) {
      throw Fault.of(
          ErrorReason.ERROR_REASON_REQUEST_INVALID,
          "events",
          "must have at most " + most + " items" + where,
          Map.of("limit", Integer.toString(most)));
    }
  }

  /** Returns the topic that the types of events declare; empty if none of the types is known. */
  String declaredTopic(List<Event> events) {
    String topic = "";
    for (int i = 0; i < events.size(); i++) {
      EventType type = types.find(typeName(events.get(i)));
      if (type == null) {
        continue; // The event is refused for that.
      }
      String declared = type.options().getTopic();
      if (declared.isEmpty()) {
        throw Fault.of(
            ErrorReason.ERROR_REASON_TOPIC_UNDETERMINED,
            "topic",
            "must be set: the type of events[" + i + "] declares no topic",
            Map.of());
      }
      if (!topic.isEmpty() && !topic.equals(declared)) {
        throw Fault.of(
            ErrorReason.ERROR_REASON_TOPIC_UNDETERMINED,
            "topic",
            "must be set: the types of the events declare both " + topic + " and " + declared,
            Map.of());
      }
      topic = declared;
    }
    return topic;
  }

  private static String typeName(Event event) {
    String url = event.getData().getTypeUrl();
    return url.substring(url.lastIndexOf('/') + 1);
  }

  /** Fails where a request itself breaks a rule, and returns what its events break, by index. */
  private static Map<Long, List<Violation>> checkEnvelopes(PublishRequest request) {
    Map<Boolean, List<Violation>> violations =
        Rules.violations(request).stream()
            .collect(
                Collectors.partitioningBy(
                    violation -> {
                      FieldPathElement first = violation.getField().getElements(0);
                      return first.hasIndex() && first.getFieldName().equals("events");
                    }));
    if (!violations.get(false).isEmpty()) {
      throw Fault.of(ErrorReason.ERROR_REASON_REQUEST_INVALID, violations.get(false));
    }
    return violations.get(true).stream()
        .collect(
            Collectors.groupingBy(violation -> violation.getField().getElements(0).getIndex()));
  }

  private static void checkEnvelope(List<Violation> violations, long index) {
    if (!violations.isEmpty()) {
      throw Fault.of(
          ErrorReason.ERROR_REASON_EVENT_INVALID,
          violations.stream()
              .map(violation -> Rules.replaceFirst(violation, 1, eventElement(index)))
              .toList());
    }
  }

  private static FieldPathElement eventElement(long index) {
    return FieldPathElement.newBuilder()
        .setFieldName("events")
        .setFieldNumber(PublishRequest.EVENTS_FIELD_NUMBER)
        .setIndex(index)
        .build();
  }

  private Checked check(TopicLog log, Event event, int i, long index) {
    String at = "events[" + index + "]";
    if (event.getSerializedSize() > Limits.MAX_EVENT_BYTES) {
      throw Fault.of(
          ErrorReason.ERROR_REASON_EVENT_TOO_LARGE,
          "%s has %d bytes, at most %d are allowed"
              .formatted(at, event.getSerializedSize(), Limits.MAX_EVENT_BYTES),
          Map.of(
              "size", Integer.toString(event.getSerializedSize()),
              "limit", Integer.toString(Limits.MAX_EVENT_BYTES)));
    }
    String name = typeName(event);
    if (!NAME.matcher(name).matches()) {
      throw Fault.of(
          ErrorReason.ERROR_REASON_EVENT_MALFORMED,
          at + ".data.type_url",
          "must end in the name of a type",
          Map.of());
    }
    EventType type = types.find(name);
    if (type == null) {
      throw Fault.of(
          ErrorReason.ERROR_REASON_EVENT_TYPE_UNKNOWN,
          at + ".data.type_url",
          "unknown event type \"" + name + "\"",
          Map.of("type", name));
    }
    if (log != null && !types.takes(log.topic(), name)) {
      throw Fault.of(
          ErrorReason.ERROR_REASON_EVENT_TYPE_NOT_ALLOWED,
          at + ".data.type_url",
          "topic \"%s\" doesn't take events of type %s".formatted(log.topic().getName(), name),
          Map.of("type", name, "topic", log.topic().getName()));
    }
    Message payload = decode(type, event, at);
    List<Violation> violations = Rules.violations(payload);
    if (!violations.isEmpty()) {
      throw Fault.of(
          ErrorReason.ERROR_REASON_EVENT_INVALID,
          violations.stream()
              .map(violation -> Rules.replaceFirst(violation, 0, eventElement(index), DATA))
              .toList());
    }
    var kept = event.toBuilder();
    kept.getDataBuilder().setTypeUrl("type.googleapis.com/" + name);
    String key = event.hasPartitionKey() ? "" : partitionKey(type, payload, at);
    if (!key.isEmpty()) {
      kept.setPartitionKey(key);
    }
    return new Checked(i, kept.build(), payload);
  }

  private static Message decode(EventType type, Event event, String at) {
    try {
      return DynamicMessage.parseFrom(type.message(), event.getData().getValue());
    } catch (InvalidProtocolBufferException e) {
      throw Fault.of(
          ErrorReason.ERROR_REASON_EVENT_MALFORMED,
          at + ".data.value",
          type.message().getFullName() + ": " + e.getMessage(),
          Map.of());
    }
  }

  private static String partitionKey(EventType type, Message payload, String at) {
    String key = type.keyOf(payload);
    Event keyed = Event.newBuilder().setPartitionKey(key).build();
    boolean refused =
        Rules.violations(keyed).stream()
            .anyMatch(
                violation ->
                    violation.getField().getElements(0).getFieldNumber()
                        == Event.PARTITION_KEY_FIELD_NUMBER);
    if (refused) {
      throw Fault.of(
          ErrorReason.ERROR_REASON_EVENT_INVALID,
          at + ".data." + type.options().getKey(),
          "must be usable as a partition key",
          Map.of());
    }
    return key;
  }

  /** Stores a request where requests are recognised: by their id, or by all that was sent. */
  private static List<Receipt> store(TopicLog log, PublishRequest request, List<Checked> checked) {
    Object identity = request.getRequestId();
    if (request.getRequestId().isEmpty()) {
      identity = request.getEventsList().stream().map(EventId::of).toList();
    }
    List<Stored> stored = log.recognise(identity);
    boolean duplicate = stored != null;
    if (duplicate) {
      compare(log, request.getRequestId(), checked, stored);
    } else {
      Preconditions.check(log, request.getPreconditionsList());
      stored = log.append(identity, checked);
    }
    List<Receipt> receipts = new ArrayList<>();
    for (int i = 0; i < checked.size(); i++) {
      receipts.add(receipt(checked.get(i), stored.get(i).sequence(), duplicate));
    }
    return receipts;
  }

  /** Fails unless what is stored under an identity is the same. */
  private static void compare(
      TopicLog log, String requestId, List<Checked> checked, List<Stored> stored) {
    for (int i = 0; i < stored.size(); i++) {
      Stored other = stored.get(i);
      if (checked.size() != stored.size() || !checked.get(i).isSameAs(other.checked())) {
        throw conflict(log, other.sequence(), requestId, other.checked());
      }
    }
  }

  /** Stores a request where events are recognised one by one. */
  private static List<Receipt> storeEach(
      TopicLog log, PublishRequest request, List<Checked> checked) {
    Map<EventId, Long> sequences = new HashMap<>();
    Map<EventId, Checked> fresh = new LinkedHashMap<>();
    for (Checked each : checked) {
      List<Stored> stored = log.recognise(each.id());
      if (stored != null) {
        compare(log, "", List.of(each), stored);
        sequences.put(each.id(), stored.get(0).sequence());
        continue;
      }
      Checked first = fresh.putIfAbsent(each.id(), each);
      if (first != null && !first.isSameAs(each)) {
        throw conflict(log, 0, "", each);
      }
    }
    if (!fresh.isEmpty()) {
      Preconditions.check(log, request.getPreconditionsList());
    }
    List<Receipt> receipts = new ArrayList<>();
    for (Checked each : checked) {
      boolean isNew = fresh.get(each.id()) == each;
      if (isNew) {
        sequences.put(each.id(), log.append(each.id(), List.of(each)).get(0).sequence());
      }
      receipts.add(receipt(each, sequences.get(each.id()), !isNew));
    }
    return receipts;
  }

  private static Receipt receipt(Checked checked, long sequence, boolean duplicate) {
    return Receipt.newBuilder()
        .setIndex(checked.index())
        .setSequence(sequence)
        .setDuplicate(duplicate)
        .build();
  }

  private static Fault conflict(TopicLog log, long sequence, String requestId, Checked event) {
    Fault fault =
        Fault.of(
            requestId.isEmpty()
                ? ErrorReason.ERROR_REASON_EVENT_ID_CONFLICT
                : ErrorReason.ERROR_REASON_REQUEST_ID_CONFLICT,
            "the identity is taken by other content",
            Map.of("topic", log.topic().getName(), "sequence", Long.toString(sequence)));
    return requestId.isEmpty()
        ? fault.with("id", event.event().getId()).with("source", event.event().getSource())
        : fault.with("request_id", requestId);
  }
}
