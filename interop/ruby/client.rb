# frozen_string_literal: true

# The client in Ruby, over gRPC. README.md in the directory above says what it does.

$LOAD_PATH.unshift File.join(__dir__, 'build')

require 'google/rpc/error_details_pb'
require 'tidings/v1/consumer_service_services_pb'
require 'tidings/v1/publisher_service_services_pb'
require 'tidings/v1/reader_service_services_pb'
require 'tidings/v1/subscription_service_services_pb'
require 'tidings/v1/topic_service_services_pb'
require_relative 'golden'
require_relative 'values'

# Client is one run of the steps.
class Client
  include Tidings::V1

  STEPS = {
    'topic' => :create_topic, 'publish' => :publish, 'refused' => :publish_invalid, 'read' => :read, 'tail' => :tail,
    'consume' => :consume, 'deadline' => :exceed_deadline, 'cancel' => :cancel,
    'golden' => :copy_golden
  }.freeze

  NOT_APPLICABLE = {
    'golden-json' => 'google-protobuf 3.21 refuses JSON with a negative duration of whole seconds or the highest float'
  }.freeze

  # How many seconds a step waits for the server.
  PATIENCE = 10
  SOURCE = '/interop'
  DESCRIPTION = 'interop'

  # Failure says that a step didn't find what it should.
  class Failure < StandardError; end

  # address is that of the server, topic the name of the topic to work with.
  def initialize(address, topic, golden)
    @address = address
    @topic = topic
    @golden = golden
    @topics = connect(TopicService)
    @publisher = connect(PublisherService)
    @reader = connect(ReaderService)
    @subscriptions = connect(SubscriptionService)
    @consumer = connect(ConsumerService)
  end

  # Does every step and returns whether none failed.
  def run
    ok = STEPS.map { |name, step| run_step(name, step) }.all?
    NOT_APPLICABLE.each { |name, reason| puts "#{name} n/a: #{reason}" }
    ok
  end

  private

  def connect(service)
    service::Stub.new(@address, :this_channel_is_insecure, timeout: PATIENCE)
  end

  def run_step(name, step)
    send(step)
    puts "#{name} ok"
    true
  rescue StandardError => e
    puts "#{name} fail: #{e.message.tr("\n", ' ')}"
    warn e.full_message(highlight: false)
    false
  end

  def create_topic
    settings = Tidings::Options::V1::TopicSettings.new(description: DESCRIPTION)
    request = CreateTopicRequest.new(topic: Topic.new(name: @topic, settings: settings))
    @topics.create_topic(request)
    expect('description', DESCRIPTION, @topics.get_topic(GetTopicRequest.new(name: @topic)).topic.settings.description)
    expect_error(GRPC::AlreadyExists, reason: 'TOPIC_ALREADY_EXISTS') { @topics.create_topic(request) }
  end

  def publish
    events = Values.all.map { |value| event(value.name, value) }
    first, again = Array.new(2) { @publisher.publish(PublishRequest.new(topic: @topic, events: events)).receipts.to_a }
    sequences = first.map(&:sequence)
    expect('number of receipts', events.size, sequences.size)
    expect('sequences', sequences.uniq.sort, sequences)
    expect('duplicates', [false], first.map(&:duplicate).uniq)
    expect('sequences when repeated', sequences, again.map(&:sequence))
    expect('duplicates when repeated', [true], again.map(&:duplicate).uniq)
  end

  def publish_invalid
    value = Values.full
    value.email = 'not-an-address'
    expect_error(GRPC::InvalidArgument, reason: 'EVENT_INVALID', field: 'events[0].data.email') do
      @publisher.publish(PublishRequest.new(topic: @topic, events: [event('refused', value)]))
    end
  end

  def read
    stop = StopPosition.new(caught_up: true)
    request = ReadRequest.new(topic: @topic, start: from(:START_BOUNDARY_EARLIEST), stop: stop)
    events = @reader.read(request).flat_map { |frame| frame.events&.events.to_a }.map(&:event)
    expect('ids', Values.all.map(&:name), events.map(&:id))
    expect('values', Values.all, events.map { |event| event.data.unpack(Values::EveryKind) })
  end

  def tail
    tailed = nil
    follow do |frame, call|
      publish_one(@address, @topic, 'tailed', Values.full) if frame.caught_up
      tailed = frame.events&.events&.first
      break call.cancel if tailed
    end
    expect('id', 'tailed', tailed&.event&.id)
    expect('value', Values.full, tailed.event.data.unpack(Values::EveryKind))
  end

  def consume
    create_subscription
    ids = Values.all.map(&:name) << 'tailed'
    attempts = []
    acknowledged = []
    # One settlement more than events: full is settled twice.
    results = settle_all(ids.size + 1) do |delivery|
      id = delivery.recorded.event.id
      attempts << delivery.attempt if id == 'full'
      next { nack: Nack.new(kind: :NACK_KIND_RETRY) } if id == 'full' && attempts.one?

      acknowledged << id
      { ack: Ack.new }
    end
    expect('statuses', [:SETTLEMENT_STATUS_APPLIED], results.map(&:status).uniq)
    expect('attempts of full', [1, 2], attempts)
    expect('acknowledged ids', ids.sort, acknowledged.sort)
  end

  def exceed_deadline
    expect_error(GRPC::DeadlineExceeded) { follow(deadline: Time.now + 0.3) { |_frame, _call| } }
  end

  def cancel
    expect_error(GRPC::Cancelled) { follow { |frame, call| call.cancel if frame.caught_up } }
  end

  def copy_golden
    @golden.copy
  end

  def event(id, value)
    Event.new(id: id, source: SOURCE, data: Google::Protobuf::Any.pack(value))
  end

  # Does all that a publisher in Ruby has to do.
  def publish_one(address, topic, id, value)
    # docs:begin
    publisher = Tidings::V1::PublisherService::Stub.new(address, :this_channel_is_insecure)
    event = Tidings::V1::Event.new(
      id: id,
      source: '/interop',
      data: Google::Protobuf::Any.pack(value)
    )
    publisher.publish(Tidings::V1::PublishRequest.new(topic: topic, events: [event]))
    # docs:end
  end

  def from(boundary)
    StartPosition.new(boundary: boundary)
  end

  # Reads what is stored from now on, without a bound, and yields each frame with
  # the call, which can be cancelled.
  def follow(deadline: nil)
    request = ReadRequest.new(topic: @topic, start: from(:START_BOUNDARY_NEW))
    call = @reader.read(request, deadline: deadline, return_op: true)
    call.execute.each { |frame| yield frame, call }
  end

  def create_subscription
    retry_policy = RetryPolicy.new(
      min_backoff: Google::Protobuf::Duration.new(nanos: 100_000_000),
      max_backoff: Google::Protobuf::Duration.new(seconds: 1)
    )
    subscription = Subscription.new(name: @topic, topic: @topic, retry_policy: retry_policy)
    @subscriptions.create_subscription(
      CreateSubscriptionRequest.new(subscription: subscription, start: from(:START_BOUNDARY_EARLIEST))
    )
  end

  # Settles deliveries of the subscription by the action that is yielded for each,
  # and returns the results once there are as many as asked for.
  def settle_all(count)
    requests = Queue.new
    requests << ConsumeRequest.new(open: ConsumeOpen.new(subscription: @topic))
    results = []
    @consumer.consume(Enumerator.produce { requests.pop || raise(StopIteration) }).each do |frame|
      results.concat(frame.settled.results.to_a) if frame.settled
      settlements = frame.deliveries&.deliveries.to_a.map do |delivery|
        Settlement.new(delivery_token: delivery.delivery_token, **yield(delivery))
      end
      requests << ConsumeRequest.new(settle: SettlementBatch.new(settlements: settlements)) if settlements.any?
      requests.close if results.size >= count
    end
    results
  end

  def expect(what, want, got)
    raise Failure, "#{what}: #{got.inspect}, want #{want.inspect}" unless got == want
  end

  # Wants a call to end with an error and, where they are given, with a reason and
  # with a field that violates a rule.
  def expect_error(error, reason: nil, field: nil)
    yield
    raise Failure, "expected #{error}, got OK"
  rescue GRPC::BadStatus => e
    raise Failure, "expected #{error}, got #{e.message}" unless e.is_a?(error)

    expect('reason', reason, detail(e, Google::Rpc::ErrorInfo)&.reason) if reason
    expect('fields', [field], detail(e, Google::Rpc::BadRequest)&.field_violations.to_a.map(&:field)) if field
  end

  def detail(error, type)
    error.to_rpc_status&.details.to_a.find { |any| any.is(type) }&.unpack(type)
  end
end

$stdout.sync = true
golden = Golden.new(ENV.fetch('TIDINGS_GOLDEN'), ENV.fetch('TIDINGS_OUT'))
client = Client.new(ENV.fetch('TIDINGS_GRPC'), ENV.fetch('TIDINGS_TOPIC'), golden)
exit client.run
