package com.example.interop

import com.example.tidings.conformance.v1.EveryKind
import com.example.tidings.options.v1.TopicSettings
import com.example.tidings.v1.*
import com.google.protobuf.any.Any
import com.google.protobuf.duration.Duration
import com.google.rpc.{BadRequest, ErrorInfo}
import io.grpc.Context.CancellableContext
import io.grpc.protobuf.StatusProto
import io.grpc.stub.{AbstractStub, StreamObserver}
import io.grpc.{Channel, Context, Status, StatusRuntimeException}
import java.util.concurrent.TimeUnit.{MILLISECONDS, SECONDS}
import scala.collection.mutable
import scala.concurrent.duration.{DurationInt, FiniteDuration}
import scala.concurrent.{Await, Promise}
import scala.jdk.CollectionConverters.*
import scala.util.Try

/** One run of the steps that call the server. */
final class Scenario(channel: Channel, address: String, topic: String):
  private val Source = "/interop"
  private val Description = "interop"

  /** The id of the event that is published while the topic is read. */
  private val Tailed = "tailed"

  /** How long a call may take. */
  private val Patience: FiniteDuration = 10.seconds

  private def topics = patient(TopicServiceGrpc.blockingStub(channel))
  private def publisher = patient(PublisherServiceGrpc.blockingStub(channel))
  private def reader = patient(ReaderServiceGrpc.blockingStub(channel))
  private def subscriptions = patient(SubscriptionServiceGrpc.blockingStub(channel))

  private def patient[S <: AbstractStub[S]](stub: S): S =
    stub.withDeadlineAfter(Patience.toSeconds, SECONDS)

  private val earliest = StartPosition().withBoundary(StartBoundary.START_BOUNDARY_EARLIEST)

  /** What is stored from now on, without a bound. */
  private val fromNow =
    ReadRequest(topic, start = Some(StartPosition().withBoundary(StartBoundary.START_BOUNDARY_NEW)))

  def createTopic(): Unit =
    val request = CreateTopicRequest(Some(Topic(name = topic, settings = Some(TopicSettings(description = Description)))))
    topics.createTopic(request)
    val created = topics.getTopic(GetTopicRequest(topic)).getTopic
    check(created.getSettings.description == Description, s"the topic is $created")
    expect(Status.Code.ALREADY_EXISTS, reason = "TOPIC_ALREADY_EXISTS")(topics.createTopic(request))

  def publish(): Unit =
    val request = PublishRequest(topic, Values.all.map(value => event(value.name, value)))
    val first = publisher.publish(request).receipts
    val again = publisher.publish(request).receipts
    check(first.size == Values.all.size, s"${first.size} receipts")
    check(!first.exists(_.duplicate), s"receipts of what was not published: $first")
    check(
      first.zip(first.drop(1)).forall((one, next) => one.sequence < next.sequence),
      s"the receipts $first"
    )
    check(again == first.map(_.withDuplicate(true)), s"the receipts $first, and when repeated $again")

  def publishInvalid(): Unit =
    val request =
      PublishRequest(topic, Seq(event("refused", Values.full.withEmail("not-an-address"))))
    expect(Status.Code.INVALID_ARGUMENT, reason = "EVENT_INVALID", field = "events[0].data.email"):
      publisher.publish(request)

  def read(): Unit =
    val request =
      ReadRequest(topic, start = Some(earliest), stop = Some(StopPosition().withCaughtUp(true)))
    val events = reader.read(request).flatMap(_.getEvents.events).toSeq
    check(events.size == Values.all.size, s"${events.size} events")
    for (event, value) <- events.zip(Values.all) do checkEvent(event.getEvent, value.name, value)

  def tail(): Unit = cancellable: _ =>
    val frame = reader
      .read(fromNow)
      .tapEach: frame =>
        if frame.frame.isCaughtUp then Example.publish(address, topic, Tailed, Values.full)
      .find(_.frame.isEvents)
    checkEvent(frame.get.getEvents.events.head.getEvent, Tailed, Values.full)

  def consume(): Unit =
    val retryPolicy = RetryPolicy(
      minBackoff = Some(Duration(nanos = 100_000_000)),
      maxBackoff = Some(Duration(seconds = 1))
    )
    val subscription =
      Subscription(name = topic, topic = topic, retryPolicy = Some(retryPolicy))
    subscriptions.createSubscription(CreateSubscriptionRequest(Some(subscription), Some(earliest)))

    val unacknowledged = mutable.Set.from(Tailed +: Values.all.map(_.name))
    // Each event is settled once, and full twice.
    var awaited = unacknowledged.size + 1
    val done = Promise[Unit]()

    cancellable: _ =>
      lazy val requests: StreamObserver[ConsumeRequest] =
        patient(ConsumerServiceGrpc.stub(channel)).consume(
          new StreamObserver[ConsumeResponse]:
            override def onNext(frame: ConsumeResponse): Unit =
              val handled = Try:
                for result <- frame.getSettled.results do
                  check(result.status.isSettlementStatusApplied, s"a settlement is $result")
                  awaited -= 1
                for deliveries <- frame.frame.deliveries do
                  val batch = SettlementBatch(deliveries.deliveries.map(settle(_, unacknowledged)))
                  requests.onNext(ConsumeRequest().withSettle(batch))
              if handled.isFailure || awaited == 0 then done.tryComplete(handled)

            override def onError(e: Throwable): Unit = done.tryFailure(e)

            override def onCompleted(): Unit =
              done.tryFailure(IllegalStateException(s"it ended, with $awaited settlements to come"))
        )
      requests.onNext(ConsumeRequest().withOpen(ConsumeOpen(topic)))
      Await.result(done.future, Patience)
    check(unacknowledged.isEmpty, s"never acknowledged: $unacknowledged")

  /** Asks for full again where it comes first, and acknowledges everything else. */
  private def settle(delivery: Delivery, unacknowledged: mutable.Set[String]): Settlement =
    val settlement = Settlement(delivery.deliveryToken)
    val id = delivery.getRecorded.getEvent.id
    if id == "full" && delivery.attempt == 1 then
      settlement.withNack(Nack(NackKind.NACK_KIND_RETRY))
    else
      val attempt = if id == "full" then 2 else 1
      check(delivery.attempt == attempt, s"not at the attempt $attempt: $delivery")
      check(unacknowledged.remove(id), s"once more: $delivery")
      settlement.withAck(Ack())

  def exceedDeadline(): Unit =
    val hasty = ReaderServiceGrpc.blockingStub(channel).withDeadlineAfter(300, MILLISECONDS)
    expect(Status.Code.DEADLINE_EXCEEDED)(hasty.read(fromNow).foreach(_ => ()))

  def cancel(): Unit = cancellable: context =>
    expect(Status.Code.CANCELLED):
      for frame <- reader.read(fromNow) do if frame.frame.isCaughtUp then context.cancel(null)

  /** Runs `calls`, which can be cancelled and which end with it. */
  private def cancellable[A](calls: CancellableContext => A): A =
    val context = Context.current.withCancellation()
    try context.call(() => calls(context))
    finally context.cancel(null)

  private def event(id: String, value: EveryKind): Event =
    Event(id = id, source = Source, data = Some(Any.pack(value)))

  /** Wants a call to end with a code and, where they are given, with a reason and a wrong field. */
  private def expect(code: Status.Code, reason: String = "", field: String = "")(
      call: => scala.Any
  ): Unit =
    val error = Try(call).failed.getOrElse(throw IllegalStateException(s"expected $code, got OK"))
    error match
      case refusal: StatusRuntimeException =>
        val details = StatusProto.fromThrowable(refusal).getDetailsList.asScala
        val reasons =
          details.filter(_.is(classOf[ErrorInfo])).map(_.unpack(classOf[ErrorInfo]).getReason)
        val fields = details
          .filter(_.is(classOf[BadRequest]))
          .flatMap(_.unpack(classOf[BadRequest]).getFieldViolationsList.asScala)
          .map(_.getField)
        val expected = refusal.getStatus.getCode == code &&
          (reason.isEmpty || reasons.contains(reason)) &&
          (field.isEmpty || fields.contains(field))
        check(expected, s"expected $code $reason $field, got $refusal, $reasons $fields")
      case other => throw other

  /** Wants an event to have an id and to hold a value. */
  private def checkEvent(event: Event, id: String, want: EveryKind): Unit =
    val got = event.getData.unpack[EveryKind]
    check(event.id == id && got == want, s"the event ${event.id} holds $got, want $id with $want")

  private def check(holds: Boolean, message: => String): Unit =
    if !holds then throw IllegalStateException(message)
