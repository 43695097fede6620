package com.example.interop;

import com.example.tidings.conformance.v1.EveryKind;
import com.example.tidings.options.v1.TopicSettings;
import com.example.tidings.v1.Ack;
import com.example.tidings.v1.ConsumerServiceGrpc;
import com.example.tidings.v1.CreateSubscriptionRequest;
import com.example.tidings.v1.CreateTopicRequest;
import com.example.tidings.v1.Delivery;
import com.example.tidings.v1.DeliveryBatch;
import com.example.tidings.v1.Event;
import com.example.tidings.v1.GetTopicRequest;
import com.example.tidings.v1.Nack;
import com.example.tidings.v1.NackKind;
import com.example.tidings.v1.PublishRequest;
import com.example.tidings.v1.PublisherServiceGrpc;
import com.example.tidings.v1.ReadRequest;
import com.example.tidings.v1.ReadResponse;
import com.example.tidings.v1.ReaderServiceGrpc;
import com.example.tidings.v1.Receipt;
import com.example.tidings.v1.ReceiveRequest;
import com.example.tidings.v1.ReceiveResponse;
import com.example.tidings.v1.RecordedEvent;
import com.example.tidings.v1.RetryPolicy;
import com.example.tidings.v1.SettleRequest;
import com.example.tidings.v1.Settlement;
import com.example.tidings.v1.SettlementResult;
import com.example.tidings.v1.SettlementStatus;
import com.example.tidings.v1.StartBoundary;
import com.example.tidings.v1.StartPosition;
import com.example.tidings.v1.StopPosition;
import com.example.tidings.v1.Subscription;
import com.example.tidings.v1.SubscriptionServiceGrpc;
import com.example.tidings.v1.Topic;
import com.example.tidings.v1.TopicServiceGrpc;
import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.util.Durations;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import io.grpc.Channel;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.AbstractStub;
import io.grpc.stub.BlockingClientCall;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/** One run of the steps that call the server. */
final class Scenario {
  private static final String SOURCE = "/interop";
  private static final String DESCRIPTION = "interop";

  /** The id of the event that is published while the topic is read. */
  private static final String TAILED = "tailed";

  private static final Set<SettlementStatus> APPLIED =
      Set.of(
          SettlementStatus.SETTLEMENT_STATUS_APPLIED,
          SettlementStatus.SETTLEMENT_STATUS_ALREADY_APPLIED);

  /** How long a call may take, in seconds. */
  private static final long PATIENCE = 10;

  private final Channel channel;

  /** The address for gRPC; null for a channel that has no streams in both directions. */
  private final String address;

  private final String topic;

  Scenario(Channel channel, String address, String topic) {
    this.channel = channel;
    this.address = address;
    this.topic = topic;
  }

  void createTopic() throws Exception {
    var topics = patient(TopicServiceGrpc.newBlockingV2Stub(channel));
    var request =
        CreateTopicRequest.newBuilder()
            .setTopic(Topic.newBuilder()
                    .setName(topic)
                    .setSettings(TopicSettings.newBuilder().setDescription(DESCRIPTION)))
            .build();
    topics.createTopic(request);
    Topic created = topics.getTopic(GetTopicRequest.newBuilder().setName(topic).build()).getTopic();
    check(created.getSettings().getDescription().equals(DESCRIPTION), "the topic is %s", created);
    expect(
        Status.Code.ALREADY_EXISTS, "TOPIC_ALREADY_EXISTS", "", () -> topics.createTopic(request));
  }

  void publish() throws Exception {
    var publisher = patient(PublisherServiceGrpc.newBlockingV2Stub(channel));
    var request = PublishRequest.newBuilder().setTopic(topic);
    for (EveryKind value : Values.all()) {
      request.addEvents(event(value.getName(), value));
    }
    List<Receipt> first = publisher.publish(request.build()).getReceiptsList();
    List<Receipt> again = publisher.publish(request.build()).getReceiptsList();
    check(
        first.size() == request.getEventsCount() && again.size() == first.size(),
        "%d and %d receipts",
        first.size(),
        again.size());
    long last = 0;
    for (int i = 0; i < first.size(); i++) {
      Receipt receipt = first.get(i);
      check(
          !receipt.getDuplicate() && receipt.getSequence() > last,
          "the receipt %s after the sequence %d",
          receipt,
          last);
      check(
          again.get(i).equals(receipt.toBuilder().setDuplicate(true).build()),
          "the receipt %s, and when repeated %s",
          receipt,
          again.get(i));
      last = receipt.getSequence();
    }
  }

  void publishInvalid() throws Exception {
    EveryKind value = Values.full().toBuilder().setEmail("not-an-address").build();
    var request =
        PublishRequest.newBuilder().setTopic(topic).addEvents(event("refused", value)).build();
    expect(
        Status.Code.INVALID_ARGUMENT,
        "EVENT_INVALID",
        "events[0].data.email",
        () -> patient(PublisherServiceGrpc.newBlockingV2Stub(channel)).publish(request));
  }

  void read() throws Exception {
    var request =
        ReadRequest.newBuilder()
            .setTopic(topic)
            .setStart(from(StartBoundary.START_BOUNDARY_EARLIEST))
            .setStop(StopPosition.newBuilder().setCaughtUp(true))
            .build();
    BlockingClientCall<?, ReadResponse> call =
        patient(ReaderServiceGrpc.newBlockingV2Stub(channel)).read(request);
    List<RecordedEvent> events = new ArrayList<>();
    for (ReadResponse frame = call.read(); frame != null; frame = call.read()) {
      events.addAll(frame.getEvents().getEventsList());
    }
    List<EveryKind> values = Values.all();
    check(events.size() == values.size(), "%d events", events.size());
    for (int i = 0; i < events.size(); i++) {
      checkEvent(events.get(i).getEvent(), values.get(i).getName(), values.get(i));
    }
  }

  void tail() throws Exception {
    BlockingClientCall<?, ReadResponse> call =
        patient(ReaderServiceGrpc.newBlockingV2Stub(channel)).read(fromNow());
    try {
      for (ReadResponse frame = call.read(); frame != null; frame = call.read()) {
        if (frame.hasCaughtUp()) {
          publishOne(TAILED, Values.full());
        }
        if (frame.getEvents().getEventsCount() > 0) {
          checkEvent(frame.getEvents().getEvents(0).getEvent(), TAILED, Values.full());
          return;
        }
      }
      throw new IllegalStateException("the server ended the call");
    } finally {
      call.cancel("the event has come", null);
    }
  }

  private void publishOne(String id, EveryKind value) throws Exception {
    if (address != null) {
      Example.publish(address, topic, id, value);
      return;
    }
    patient(PublisherServiceGrpc.newBlockingV2Stub(channel))
        .publish(PublishRequest.newBuilder().setTopic(topic).addEvents(event(id, value)).build());
  }

  void consume() throws Exception {
    patient(SubscriptionServiceGrpc.newBlockingV2Stub(channel))
        .createSubscription(
            CreateSubscriptionRequest.newBuilder()
                .setSubscription(
                    Subscription.newBuilder()
                        .setName(topic)
                        .setTopic(topic)
                        .setRetryPolicy(
                            RetryPolicy.newBuilder()
                                .setMinBackoff(Durations.fromMillis(100))
                                .setMaxBackoff(Durations.fromSeconds(1))))
                .setStart(from(StartBoundary.START_BOUNDARY_EARLIEST))
                .build());
    Set<String> unacknowledged = new HashSet<>(Set.of(TAILED));
    Values.all().forEach(value -> unacknowledged.add(value.getName()));
    // Each event is settled once, and full twice.
    int settlements = unacknowledged.size() + 1;

    if (address != null) {
      consume(settlements, unacknowledged);
    } else {
      receive(settlements, unacknowledged);
    }
    check(unacknowledged.isEmpty(), "never acknowledged: %s", unacknowledged);
  }

  private void consume(int settlements, Set<String> unacknowledged) throws Exception {
    var results = new AtomicInteger();
    var broken = new AtomicBoolean();
    Consumer.consume(
        patient(ConsumerServiceGrpc.newBlockingV2Stub(channel)),
        topic,
        delivery -> settle(delivery, unacknowledged),
        more -> {
          boolean last = results.get() + more.size() >= settlements;
          if (last && !broken.getAndSet(true)) {
            // As if the connection broke before the last ones came: they are to come again.
            throw Status.UNAVAILABLE.withDescription("broken on purpose").asRuntimeException();
          }
          results.addAndGet(countApplied(more));
        },
        () -> results.get() >= settlements);
  }

  /** Does with two calls what Consume does with one. */
  private void receive(int settlements, Set<String> unacknowledged) throws Exception {
    var consumer = patient(ConsumerServiceGrpc.newBlockingV2Stub(channel));
    BlockingClientCall<?, ReceiveResponse> call =
        consumer.receive(ReceiveRequest.newBuilder().setSubscription(topic).build());
    try {
      for (int results = 0; results < settlements; ) {
        ReceiveResponse frame = call.read();
        check(frame != null, "the server ended the call");
        if (frame.hasDeliveries()) {
          var request =
              SettleRequest.newBuilder()
                  .setSubscription(topic)
                  .addAllSettlements(settleAll(frame.getDeliveries(), unacknowledged));
          results += countApplied(consumer.settle(request.build()).getResultsList());
        }
      }
    } finally {
      call.cancel("all is settled", null);
    }
  }

  private static int countApplied(List<SettlementResult> results) {
    for (SettlementResult result : results) {
      check(APPLIED.contains(result.getStatus()), "a settlement is %s", result);
    }
    return results.size();
  }

  private static List<Settlement> settleAll(DeliveryBatch batch, Set<String> unacknowledged) {
    return batch.getDeliveriesList().stream()
        .map(delivery -> settle(delivery, unacknowledged))
        .toList();
  }

  /** Asks for full again where it comes first, and acknowledges everything else. */
  private static Settlement settle(Delivery delivery, Set<String> unacknowledged) {
    String id = delivery.getRecorded().getEvent().getId();
    var settlement = Settlement.newBuilder().setDeliveryToken(delivery.getDeliveryToken());
    if (id.equals("full") && delivery.getAttempt() == 1) {
      return settlement.setNack(Nack.newBuilder().setKind(NackKind.NACK_KIND_RETRY)).build();
    }
    check(
        delivery.getAttempt() == (id.equals("full") ? 2 : 1),
        "%s at an attempt too many",
        delivery);
    check(unacknowledged.remove(id), "%s comes again", delivery);
    return settlement.setAck(Ack.getDefaultInstance()).build();
  }

  void exceedDeadline() throws Exception {
    var reader =
        ReaderServiceGrpc.newBlockingV2Stub(channel).withDeadlineAfter(300, TimeUnit.MILLISECONDS);
    expect(Status.Code.DEADLINE_EXCEEDED, "", "", () -> drain(reader.read(fromNow())));
  }

  void cancel() throws Exception {
    BlockingClientCall<?, ReadResponse> call =
        patient(ReaderServiceGrpc.newBlockingV2Stub(channel)).read(fromNow());
    ReadResponse frame = call.read();
    while (frame != null && !frame.hasCaughtUp()) {
      frame = call.read();
    }
    call.cancel("caught up", null);
    expect(Status.Code.CANCELLED, "", "", () -> drain(call));
  }

  private static void drain(BlockingClientCall<?, ReadResponse> call) throws Exception {
    while (call.read() != null) {
      // Whatever it is.
    }
  }

  /** Asks for what is stored from now on, without a bound. */
  private ReadRequest fromNow() {
    return ReadRequest.newBuilder()
        .setTopic(topic)
        .setStart(from(StartBoundary.START_BOUNDARY_NEW))
        .build();
  }

  private static StartPosition from(StartBoundary boundary) {
    return StartPosition.newBuilder().setBoundary(boundary).build();
  }

  private static Event event(String id, EveryKind value) {
    return Event.newBuilder().setId(id).setSource(SOURCE).setData(Any.pack(value)).build();
  }

  private static <S extends AbstractStub<S>> S patient(S stub) {
    return stub.withDeadlineAfter(PATIENCE, TimeUnit.SECONDS);
  }

  private interface Call {
    void run() throws Exception;
  }

  /** Wants a call to end with a code and, where they aren't empty, with a reason and a field. */
  private static void expect(Status.Code code, String reason, String field, Call call)
      throws Exception {
    try {
      call.run();
    } catch (StatusException e) {
      String gotReason = "";
      List<String> gotFields = new ArrayList<>();
      var status = StatusProto.fromThrowable(e);
      for (Any detail : status.getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          gotReason = detail.unpack(ErrorInfo.class).getReason();
        } else if (detail.is(BadRequest.class)) {
          detail
              .unpack(BadRequest.class)
              .getFieldViolationsList()
              .forEach(violation -> gotFields.add(violation.getField()));
        }
      }
      if (e.getStatus().getCode() == code
          && (reason.isEmpty() || reason.equals(gotReason))
          && (field.isEmpty() || gotFields.contains(field))) {
        return;
      }
      throw new IllegalStateException(
          String.format("expected %s %s %s, got %s", code, reason, field, status), e);
    }
    throw new IllegalStateException(String.format("expected %s, got OK", code));
  }

  /** Wants an event to have an id and to hold a value. */
  private static void checkEvent(Event event, String id, EveryKind want)
      throws InvalidProtocolBufferException {
    check(event.getId().equals(id), "the event %s, want %s", event.getId(), id);
    EveryKind got = event.getData().unpack(EveryKind.class);
    check(got.equals(want), "the event %s holds %s, want %s", id, got, want);
  }

  private static void check(boolean holds, String format, Object... args) {
    if (!holds) {
      throw new IllegalStateException(String.format(format, args));
    }
  }
}
