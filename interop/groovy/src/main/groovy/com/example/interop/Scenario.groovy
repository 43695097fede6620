package com.example.interop

import com.example.tidings.conformance.v1.EveryKind
import com.example.tidings.options.v1.TopicSettings
import com.example.tidings.v1.Ack
import com.example.tidings.v1.ConsumeOpen
import com.example.tidings.v1.ConsumeRequest
import com.example.tidings.v1.ConsumerServiceGrpc
import com.example.tidings.v1.CreateSubscriptionRequest
import com.example.tidings.v1.CreateTopicRequest
import com.example.tidings.v1.Delivery
import com.example.tidings.v1.Event
import com.example.tidings.v1.GetTopicRequest
import com.example.tidings.v1.Nack
import com.example.tidings.v1.NackKind
import com.example.tidings.v1.PublishRequest
import com.example.tidings.v1.PublisherServiceGrpc
import com.example.tidings.v1.ReadRequest
import com.example.tidings.v1.ReadResponse
import com.example.tidings.v1.ReaderServiceGrpc
import com.example.tidings.v1.RetryPolicy
import com.example.tidings.v1.Settlement
import com.example.tidings.v1.SettlementBatch
import com.example.tidings.v1.SettlementStatus
import com.example.tidings.v1.StartBoundary
import com.example.tidings.v1.StartPosition
import com.example.tidings.v1.StopPosition
import com.example.tidings.v1.Subscription
import com.example.tidings.v1.SubscriptionServiceGrpc
import com.example.tidings.v1.Topic
import com.example.tidings.v1.TopicServiceGrpc
import com.google.protobuf.Any
import com.google.protobuf.util.Durations
import com.google.rpc.BadRequest
import com.google.rpc.ErrorInfo
import groovy.transform.CompileStatic
import groovy.transform.TupleConstructor
import io.grpc.Channel
import io.grpc.Status
import io.grpc.StatusException
import io.grpc.protobuf.StatusProto
import io.grpc.stub.AbstractStub
import io.grpc.stub.BlockingClientCall

import static com.example.tidings.v1.StartBoundary.START_BOUNDARY_EARLIEST
import static com.example.tidings.v1.StartBoundary.START_BOUNDARY_NEW
import static java.util.concurrent.TimeUnit.MILLISECONDS
import static java.util.concurrent.TimeUnit.SECONDS

/** One run of the steps that call the server. */
@CompileStatic
@TupleConstructor(includeFields = true)
class Scenario {
    private static final String SOURCE = '/interop'
    private static final String DESCRIPTION = 'interop'
    /** The id of the event that is published while the topic is read. */
    private static final String TAILED = 'tailed'
    /** How long a call may take, in seconds. */
    private static final long PATIENCE = 10

    private final Channel channel
    private final String address
    private final String topic

    void createTopic() {
        def topics = patient(TopicServiceGrpc.newBlockingV2Stub(channel))
        def request = CreateTopicRequest.newBuilder()
            .setTopic(Topic.newBuilder().setName(topic)
                .setSettings(TopicSettings.newBuilder().setDescription(DESCRIPTION))).build()
        topics.createTopic(request)
        assert topics.getTopic(GetTopicRequest.newBuilder().setName(topic).build()).topic.settings.description == DESCRIPTION
        expect(Status.Code.ALREADY_EXISTS, 'TOPIC_ALREADY_EXISTS') { topics.createTopic(request) }
    }

    void publish() {
        def publisher = patient(PublisherServiceGrpc.newBlockingV2Stub(channel))
        def events = Values.all().collect { event(it.name, it) }
        def request = PublishRequest.newBuilder().setTopic(topic).addAllEvents(events).build()
        def first = publisher.publish(request).receiptsList
        def again = publisher.publish(request).receiptsList
        assert first.size() == events.size()
        assert first.every { !it.duplicate }
        def sequences = first.collect { it.sequence }
        assert sequences == sequences.toUnique().toSorted()
        assert again == first.collect { it.toBuilder().setDuplicate(true).build() }
    }

    void publishInvalid() {
        def value = Values.full().toBuilder().setEmail('not-an-address').build()
        def request = PublishRequest.newBuilder().setTopic(topic).addEvents(event('refused', value)).build()
        expect(Status.Code.INVALID_ARGUMENT, 'EVENT_INVALID', 'events[0].data.email') {
            patient(PublisherServiceGrpc.newBlockingV2Stub(channel)).publish(request)
        }
    }

    void read() {
        def request = ReadRequest.newBuilder()
            .setTopic(topic)
            .setStart(from(START_BOUNDARY_EARLIEST))
            .setStop(StopPosition.newBuilder().setCaughtUp(true))
            .build()
        def call = patient(ReaderServiceGrpc.newBlockingV2Stub(channel)).read(request)
        List<Event> events = []
        eachFrame(call) { ReadResponse frame -> events.addAll(frame.events.eventsList*.event) }
        def values = Values.all()
        assert events.size() == values.size()
        values.eachWithIndex { value, i -> checkEvent(events[i], value.name, value) }
    }

    void tail() {
        def call = patient(ReaderServiceGrpc.newBlockingV2Stub(channel)).read(fromNow())
        try {
            ReadResponse frame = call.read()
            while (frame && !frame.hasEvents()) {
                if (frame.hasCaughtUp()) {
                    Example.publish(address, topic, TAILED, Values.full())
                }
                frame = call.read()
            }
            assert frame
            checkEvent(frame.events.getEvents(0).event, TAILED, Values.full())
        } finally {
            call.cancel('the event has come', null)
        }
    }

    void consume() {
        def retryPolicy = RetryPolicy.newBuilder()
            .setMinBackoff(Durations.fromMillis(100)).setMaxBackoff(Durations.fromSeconds(1))
        def subscription = Subscription.newBuilder().setName(topic).setTopic(topic).setRetryPolicy(retryPolicy)
        patient(SubscriptionServiceGrpc.newBlockingV2Stub(channel)).createSubscription(
            CreateSubscriptionRequest.newBuilder()
                .setSubscription(subscription).setStart(from(START_BOUNDARY_EARLIEST)).build())

        def unacknowledged = Values.all()*.name.toSet() << TAILED
        // Each event is settled once, and full twice.
        def awaited = unacknowledged.size() + 1
        def call = patient(ConsumerServiceGrpc.newBlockingV2Stub(channel)).consume()
        try {
            call.write(ConsumeRequest.newBuilder().setOpen(ConsumeOpen.newBuilder().setSubscription(topic)).build())
            while (awaited > 0) {
                def frame = call.read()
                assert frame
                assert frame.settled.resultsList.every { it.status == SettlementStatus.SETTLEMENT_STATUS_APPLIED }
                awaited -= frame.settled.resultsCount
                if (frame.hasDeliveries()) {
                    def settlements = frame.deliveries.deliveriesList.collect { settle(it, unacknowledged) }
                    def batch = SettlementBatch.newBuilder().addAllSettlements(settlements)
                    call.write(ConsumeRequest.newBuilder().setSettle(batch).build())
                }
            }
        } finally {
            call.cancel('all is settled', null)
        }
        assert !unacknowledged
    }

    /** Asks for full again where it comes first, and acknowledges everything else. */
    private static Settlement settle(Delivery delivery, Set<String> unacknowledged) {
        def settlement = Settlement.newBuilder().setDeliveryToken(delivery.deliveryToken)
        def id = delivery.recorded.event.id
        if (id == 'full' && delivery.attempt == 1) {
            return settlement.setNack(Nack.newBuilder().setKind(NackKind.NACK_KIND_RETRY)).build()
        }
        assert delivery.attempt == (id == 'full' ? 2 : 1)
        assert unacknowledged.remove(id)
        settlement.setAck(Ack.defaultInstance).build()
    }

    void exceedDeadline() {
        def reader = ReaderServiceGrpc.newBlockingV2Stub(channel).withDeadlineAfter(300, MILLISECONDS)
        expect(Status.Code.DEADLINE_EXCEEDED) { eachFrame(reader.read(fromNow())) { } }
    }

    void cancel() {
        def call = patient(ReaderServiceGrpc.newBlockingV2Stub(channel)).read(fromNow())
        expect(Status.Code.CANCELLED) {
            eachFrame(call) { ReadResponse frame ->
                if (frame.hasCaughtUp()) {
                    call.cancel('caught up', null)
                }
            }
        }
    }

    /** Reads a call to its end. */
    private static void eachFrame(BlockingClientCall<?, ReadResponse> call, Closure take) {
        for (def frame = call.read(); frame != null; frame = call.read()) {
            take(frame)
        }
    }

    /** Asks for what is stored from now on, without a bound. */
    private ReadRequest fromNow() {
        ReadRequest.newBuilder().setTopic(topic).setStart(from(START_BOUNDARY_NEW)).build()
    }

    private static StartPosition from(StartBoundary boundary) {
        StartPosition.newBuilder().setBoundary(boundary).build()
    }

    private static Event event(String id, EveryKind value) {
        Event.newBuilder().setId(id).setSource(SOURCE).setData(Any.pack(value)).build()
    }

    private static <S extends AbstractStub<S>> S patient(S stub) {
        stub.withDeadlineAfter(PATIENCE, SECONDS)
    }

    /** Wants a call to end with a code and, where they are given, with a reason and a field that is wrong. */
    private static void expect(Status.Code code, String reason = null, String field = null, Closure call) {
        StatusException refusal = null
        try {
            call()
        } catch (StatusException e) {
            refusal = e
        }
        assert refusal?.status?.code == code
        def details = StatusProto.fromThrowable(refusal).detailsList
        def reasons = details.findAll { it.is(ErrorInfo) }.collect { it.unpack(ErrorInfo).reason }
        def fields = details.findAll { it.is(BadRequest) }
            .collectMany { it.unpack(BadRequest).fieldViolationsList*.field }
        assert reason == null || reason in reasons
        assert field == null || field in fields
    }

    /** Wants an event to have an id and to hold a value. */
    private static void checkEvent(Event event, String id, EveryKind want) {
        assert event.id == id
        assert event.data.unpack(EveryKind) == want
    }
}
