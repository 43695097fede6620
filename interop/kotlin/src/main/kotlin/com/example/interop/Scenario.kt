package com.example.interop

import com.example.tidings.conformance.v1.EveryKind
import com.example.tidings.conformance.v1.copy
import com.example.tidings.v1.ConsumeRequest
import com.example.tidings.v1.ConsumerServiceGrpcKt.ConsumerServiceCoroutineStub
import com.example.tidings.v1.Delivery
import com.example.tidings.v1.Event
import com.example.tidings.v1.NackKind
import com.example.tidings.v1.PublisherServiceGrpcKt.PublisherServiceCoroutineStub
import com.example.tidings.v1.ReaderServiceGrpcKt.ReaderServiceCoroutineStub
import com.example.tidings.v1.Settlement
import com.example.tidings.v1.SettlementStatus
import com.example.tidings.v1.StartBoundary
import com.example.tidings.v1.SubscriptionServiceGrpcKt.SubscriptionServiceCoroutineStub
import com.example.tidings.options.v1.topicSettings
import com.example.tidings.v1.TopicServiceGrpcKt.TopicServiceCoroutineStub
import com.example.tidings.v1.ack
import com.example.tidings.v1.consumeOpen
import com.example.tidings.v1.consumeRequest
import com.example.tidings.v1.copy
import com.example.tidings.v1.createSubscriptionRequest
import com.example.tidings.v1.createTopicRequest
import com.example.tidings.v1.event
import com.example.tidings.v1.getTopicRequest
import com.example.tidings.v1.nack
import com.example.tidings.v1.publishRequest
import com.example.tidings.v1.readRequest
import com.example.tidings.v1.retryPolicy
import com.example.tidings.v1.settlement
import com.example.tidings.v1.settlementBatch
import com.example.tidings.v1.startPosition
import com.example.tidings.v1.stopPosition
import com.example.tidings.v1.subscription
import com.example.tidings.v1.topic
import com.google.protobuf.Any
import com.google.protobuf.kotlin.unpack
import com.google.protobuf.util.Durations
import com.google.rpc.BadRequest
import com.google.rpc.ErrorInfo
import io.grpc.Channel
import io.grpc.Status
import io.grpc.StatusException
import io.grpc.protobuf.StatusProto
import io.grpc.stub.AbstractStub
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.consumeAsFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.launchIn
import kotlinx.coroutines.flow.onCompletion
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.flow.takeWhile
import kotlinx.coroutines.flow.toList
import java.util.concurrent.TimeUnit.MILLISECONDS
import java.util.concurrent.TimeUnit.SECONDS
import kotlinx.coroutines.channels.Channel as Queue

private const val SOURCE = "/interop"
private const val DESCRIPTION = "interop"

/** The id of the event that is published while the topic is read. */
private const val TAILED = "tailed"

/** How long a call may take, in seconds. */
private const val PATIENCE = 10L

/** One run of the steps that call the server. */
class Scenario(
    private val channel: Channel,
    private val address: String,
    private val topicName: String,
) {
    private val topics get() = TopicServiceCoroutineStub(channel).patient()
    private val publisher get() = PublisherServiceCoroutineStub(channel).patient()
    private val reader get() = ReaderServiceCoroutineStub(channel).patient()
    private val subscriptions get() = SubscriptionServiceCoroutineStub(channel).patient()
    private val consumer get() = ConsumerServiceCoroutineStub(channel).patient()

    /** What is stored from now on, without a bound. */
    private val fromNow =
        readRequest {
            topic = topicName
            start = startPosition { boundary = StartBoundary.START_BOUNDARY_NEW }
        }

    suspend fun createTopic() {
        val request =
            createTopicRequest {
                topic =
                    topic {
                        name = topicName
                        settings = topicSettings { description = DESCRIPTION }
                    }
            }
        topics.createTopic(request)
        val created = topics.getTopic(getTopicRequest { name = topicName }).topic
        check(created.settings.description == DESCRIPTION) { "the topic is $created" }
        expect(Status.Code.ALREADY_EXISTS, "TOPIC_ALREADY_EXISTS") { topics.createTopic(request) }
    }

    suspend fun publish() {
        val request =
            publishRequest {
                topic = topicName
                events += values.map { eventOf(it.name, it) }
            }
        val first = publisher.publish(request).receiptsList
        val again = publisher.publish(request).receiptsList
        check(first.size == values.size) { "${first.size} receipts" }
        check(first.none { it.duplicate }) { "receipts of what was not published: $first" }
        check(first.zipWithNext().all { (one, next) -> one.sequence < next.sequence }) { "the receipts $first" }
        check(again == first.map { it.copy { duplicate = true } }) { "the receipts $first, and when repeated $again" }
    }

    suspend fun publishInvalid() {
        val request =
            publishRequest {
                topic = topicName
                events += eventOf("refused", full().copy { email = "not-an-address" })
            }
        expect(Status.Code.INVALID_ARGUMENT, "EVENT_INVALID", "events[0].data.email") { publisher.publish(request) }
    }

    suspend fun read() {
        val request =
            readRequest {
                topic = topicName
                start = startPosition { boundary = StartBoundary.START_BOUNDARY_EARLIEST }
                stop = stopPosition { caughtUp = true }
            }
        val events = reader.read(request).toList().flatMap { it.events.eventsList }
        check(events.size == values.size) { "${events.size} events" }
        events.zip(values).forEach { (event, value) -> checkEvent(event.event, value.name, value) }
    }

    suspend fun tail() {
        val frame =
            reader
                .read(fromNow)
                .onEach { if (it.hasCaughtUp()) publishOne(address, topicName, TAILED, full()) }
                .first { it.hasEvents() }
        checkEvent(frame.events.getEvents(0).event, TAILED, full())
    }

    suspend fun consume() {
        subscriptions.createSubscription(
            createSubscriptionRequest {
                subscription =
                    subscription {
                        name = topicName
                        topic = topicName
                        retryPolicy =
                            retryPolicy {
                                minBackoff = Durations.fromMillis(100)
                                maxBackoff = Durations.fromSeconds(1)
                            }
                    }
                start = startPosition { boundary = StartBoundary.START_BOUNDARY_EARLIEST }
            },
        )
        val unacknowledged = values.map { it.name }.toMutableSet().apply { add(TAILED) }
        // Each event is settled once, and full twice.
        var awaited = unacknowledged.size + 1
        val requests = Queue<ConsumeRequest>(Queue.UNLIMITED)
        requests.send(consumeRequest { open = consumeOpen { subscription = topicName } })
        consumer
            .consume(requests.consumeAsFlow())
            .takeWhile { frame ->
                for (result in frame.settled.resultsList) {
                    check(result.status == SettlementStatus.SETTLEMENT_STATUS_APPLIED) { "a settlement is $result" }
                    awaited--
                }
                if (frame.hasDeliveries()) {
                    val batch =
                        settlementBatch {
                            settlements += frame.deliveries.deliveriesList.map { settle(it, unacknowledged) }
                        }
                    requests.send(consumeRequest { settle = batch })
                }
                awaited > 0
            }.collect()
        check(awaited == 0) { "the server ended the call with $awaited settlements to come" }
        check(unacknowledged.isEmpty()) { "never acknowledged: $unacknowledged" }
    }

    /** Asks for full again where it comes first, and acknowledges everything else. */
    private fun settle(
        delivery: Delivery,
        unacknowledged: MutableSet<String>,
    ): Settlement =
        settlement {
            deliveryToken = delivery.deliveryToken
            val id = delivery.recorded.event.id
            if (id == "full" && delivery.attempt == 1) {
                nack = nack { kind = NackKind.NACK_KIND_RETRY }
            } else {
                check(delivery.attempt == if (id == "full") 2 else 1) { "at an attempt too many: $delivery" }
                check(unacknowledged.remove(id)) { "once more: $delivery" }
                ack = ack { }
            }
        }

    suspend fun exceedDeadline() {
        val hasty = ReaderServiceCoroutineStub(channel).withDeadlineAfter(300, MILLISECONDS)
        expect(Status.Code.DEADLINE_EXCEEDED) { hasty.read(fromNow).collect() }
    }

    suspend fun cancel() =
        coroutineScope {
            var end: Throwable? = null
            val caughtUp = CompletableDeferred<Unit>()
            val call =
                reader
                    .read(fromNow)
                    .onEach { if (it.hasCaughtUp()) caughtUp.complete(Unit) }
                    .onCompletion {
                        end = it
                        caughtUp.cancel()
                    }.launchIn(this)
            caughtUp.await()
            call.cancelAndJoin()
            check(end is CancellationException) { "the call ended with $end" }
        }

    private fun eventOf(
        id: String,
        value: EveryKind,
    ): Event =
        event {
            this.id = id
            source = SOURCE
            data = Any.pack(value)
        }
}

private fun <S : AbstractStub<S>> S.patient(): S = withDeadlineAfter(PATIENCE, SECONDS)

/** Wants [call] to end with a code and, where they are given, with a reason and a field that is wrong. */
private suspend fun expect(
    code: Status.Code,
    reason: String? = null,
    field: String? = null,
    call: suspend () -> Unit,
) {
    val error =
        try {
            call()
            error("expected $code, got OK")
        } catch (e: StatusException) {
            e
        }
    val details = StatusProto.fromThrowable(error)?.detailsList.orEmpty()
    val reasons = details.filter { it.`is`(ErrorInfo::class.java) }.map { it.unpack<ErrorInfo>().reason }
    val fields =
        details
            .filter { it.`is`(BadRequest::class.java) }
            .flatMap { it.unpack<BadRequest>().fieldViolationsList }
            .map { it.field }
    check(
        error.status.code == code && (reason == null || reason in reasons) && (field == null || field in fields),
    ) { "expected $code $reason $field, got $reasons $fields: $error" }
}

/** Wants an event to have an id and to hold a value. */
private fun checkEvent(
    event: Event,
    id: String,
    want: EveryKind,
) {
    val got = event.data.unpack<EveryKind>()
    check(event.id == id && got == want) { "the event ${event.id} holds $got, want $id with $want" }
}
