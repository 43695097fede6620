#include "scenario.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>
#include <vector>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "values.h"

namespace {

using tidings::conformance::v1::EveryKind;

constexpr char kSource[] = "/interop";
constexpr char kDescription[] = "interop";
// The id of the event that is published while the topic is read.
constexpr char kTailed[] = "tailed";

// A call that waits no longer than a step may.
class Call : public grpc::ClientContext {
 public:
  explicit Call(std::chrono::milliseconds patience = std::chrono::seconds(10)) {
    set_deadline(std::chrono::system_clock::now() + patience);
  }
};

void Require(bool condition, const std::string& problem) {
  if (!condition) throw std::runtime_error(problem);
}

void RequireOk(const grpc::Status& status) {
  Require(status.ok(),
          "code " + std::to_string(status.error_code()) + ": " + status.error_message());
}

// Wants a call to have ended with a code and, where they are not empty, with a reason
// and with a field that violates a rule.
void Expect(const grpc::Status& status, grpc::StatusCode code, const std::string& reason = "",
            const std::string& field = "") {
  google::rpc::Status details;
  Require(details.ParseFromString(status.error_details()), "the details can't be decoded");
  std::string got_reason;
  std::string got_fields;
  bool field_found = field.empty();
  for (const auto& detail : details.details()) {
    if (google::rpc::ErrorInfo info; detail.UnpackTo(&info)) got_reason = info.reason();
    if (google::rpc::BadRequest bad_request; detail.UnpackTo(&bad_request)) {
      for (const auto& violation : bad_request.field_violations()) {
        field_found = field_found || violation.field() == field;
        got_fields += " " + violation.field();
      }
    }
  }
  Require(status.error_code() == code && (reason.empty() || got_reason == reason) && field_found,
          "expected code " + std::to_string(code) + " " + reason + " " + field + ", got " +
              std::to_string(status.error_code()) + " " + got_reason + got_fields + ": " +
              status.error_message());
}

// Wants an event to have an id and to hold a value.
void RequireHolds(const tidings::v1::Event& event, const std::string& id, const EveryKind& want) {
  EveryKind got;
  Require(event.data().UnpackTo(&got), "the event " + event.id() + " holds something else");
  Require(event.id() == id && google::protobuf::util::MessageDifferencer::Equals(got, want),
          "the event " + event.id() + " holds " + got.ShortDebugString() + ", want " + id +
              " with " + want.ShortDebugString());
}

void AddEvent(tidings::v1::PublishRequest* request, const std::string& id, const EveryKind& value) {
  auto* event = request->add_events();
  event->set_id(id);
  event->set_source(kSource);
  event->mutable_data()->PackFrom(value);
}

// Publishes one event over a connection of its own.
grpc::Status PublishOne(const std::string& address, const std::string& topic, const std::string& id,
                        const EveryKind& value) {
  Call context;
  // docs:begin
  auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  auto publisher = tidings::v1::PublisherService::NewStub(channel);
  tidings::v1::PublishRequest request;
  request.set_topic(topic);
  auto* event = request.add_events();
  event->set_id(id);
  event->set_source("/interop");
  event->mutable_data()->PackFrom(value);
  tidings::v1::PublishResponse response;
  grpc::Status status = publisher->Publish(&context, request, &response);
  // docs:end
  return status;
}

}  // namespace

Scenario::Scenario(const std::string& address, std::string topic)
    : address_(address), topic_(std::move(topic)) {
  auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  topics_ = tidings::v1::TopicService::NewStub(channel);
  publisher_ = tidings::v1::PublisherService::NewStub(channel);
  reader_ = tidings::v1::ReaderService::NewStub(channel);
  subscriptions_ = tidings::v1::SubscriptionService::NewStub(channel);
  consumer_ = tidings::v1::ConsumerService::NewStub(channel);
}

void Scenario::CreateTopic() {
  tidings::v1::CreateTopicRequest create;
  create.mutable_topic()->set_name(topic_);
  create.mutable_topic()->mutable_settings()->set_description(kDescription);
  tidings::v1::CreateTopicResponse created;
  Call first;
  RequireOk(topics_->CreateTopic(&first, create, &created));

  tidings::v1::GetTopicRequest get;
  get.set_name(topic_);
  tidings::v1::GetTopicResponse got;
  Call second;
  RequireOk(topics_->GetTopic(&second, get, &got));
  Require(got.topic().settings().description() == kDescription,
          "the description is " + got.topic().settings().description());

  Call third;
  Expect(topics_->CreateTopic(&third, create, &created), grpc::StatusCode::ALREADY_EXISTS,
         "TOPIC_ALREADY_EXISTS");
}

void Scenario::Publish() {
  tidings::v1::PublishRequest request;
  request.set_topic(topic_);
  for (const auto& value : values::All()) AddEvent(&request, value.name(), value);
  tidings::v1::PublishResponse first;
  Call publishing;
  RequireOk(publisher_->Publish(&publishing, request, &first));
  tidings::v1::PublishResponse again;
  Call repeating;
  RequireOk(publisher_->Publish(&repeating, request, &again));

  Require(first.receipts_size() == request.events_size() &&
              again.receipts_size() == request.events_size(),
          std::to_string(first.receipts_size()) + " and " + std::to_string(again.receipts_size()) +
              " receipts");
  std::int64_t last = 0;
  for (int i = 0; i < first.receipts_size(); ++i) {
    const auto& receipt = first.receipts(i);
    const auto& repeated = again.receipts(i);
    Require(!receipt.duplicate() && receipt.sequence() > last,
            "the receipt " + receipt.ShortDebugString() + " after " + std::to_string(last));
    Require(repeated.duplicate() && repeated.sequence() == receipt.sequence(),
            "the receipt " + receipt.ShortDebugString() + ", and when repeated " +
                repeated.ShortDebugString());
    last = receipt.sequence();
  }
}

void Scenario::PublishInvalid() {
  auto value = values::Full();
  value.set_email("not-an-address");
  tidings::v1::PublishRequest request;
  request.set_topic(topic_);
  AddEvent(&request, "refused", value);
  tidings::v1::PublishResponse response;
  Call call;
  Expect(publisher_->Publish(&call, request, &response), grpc::StatusCode::INVALID_ARGUMENT,
         "EVENT_INVALID", "events[0].data.email");
}

void Scenario::Read() {
  tidings::v1::ReadRequest request;
  request.set_topic(topic_);
  request.mutable_start()->set_boundary(tidings::v1::START_BOUNDARY_EARLIEST);
  request.mutable_stop()->set_caught_up(true);
  Call call;
  const auto stream = reader_->Read(&call, request);
  std::vector<tidings::v1::Event> events;
  tidings::v1::ReadResponse frame;
  while (stream->Read(&frame)) {
    for (const auto& recorded : frame.events().events()) events.push_back(recorded.event());
  }
  RequireOk(stream->Finish());

  const auto want = values::All();
  Require(events.size() == want.size(), std::to_string(events.size()) + " events");
  for (std::size_t i = 0; i < want.size(); ++i) RequireHolds(events[i], want[i].name(), want[i]);
}

tidings::v1::ReadRequest Scenario::NewEvents() const {
  tidings::v1::ReadRequest request;
  request.set_topic(topic_);
  request.mutable_start()->set_boundary(tidings::v1::START_BOUNDARY_NEW);
  return request;
}

void Scenario::Tail() {
  Call call;
  const auto stream = reader_->Read(&call, NewEvents());
  tidings::v1::ReadResponse frame;
  while (stream->Read(&frame)) {
    if (frame.has_caught_up()) RequireOk(PublishOne(address_, topic_, kTailed, values::Full()));
    if (frame.events().events_size() > 0) break;
  }
  call.TryCancel();
  const auto status = stream->Finish();
  Require(frame.events().events_size() > 0, "the call ended before: " + status.error_message());
  RequireHolds(frame.events().events(0).event(), kTailed, values::Full());
}

void Scenario::Consume() {
  tidings::v1::CreateSubscriptionRequest create;
  auto* subscription = create.mutable_subscription();
  subscription->set_name(topic_);
  subscription->set_topic(topic_);
  subscription->mutable_retry_policy()->mutable_min_backoff()->set_nanos(100'000'000);
  subscription->mutable_retry_policy()->mutable_max_backoff()->set_seconds(1);
  create.mutable_start()->set_boundary(tidings::v1::START_BOUNDARY_EARLIEST);
  tidings::v1::CreateSubscriptionResponse created;
  Call creating;
  RequireOk(subscriptions_->CreateSubscription(&creating, create, &created));

  std::vector<std::string> want = {kTailed};
  for (const auto& value : values::All()) want.push_back(value.name());
  std::vector<std::string> acknowledged;
  std::vector<int> attempts;  // of full

  Call consuming;
  const auto stream = consumer_->Consume(&consuming);
  tidings::v1::ConsumeRequest open;
  open.mutable_open()->set_subscription(topic_);
  stream->Write(open);
  tidings::v1::ConsumeResponse frame;
  std::size_t applied = 0;
  // One settlement more than events: full is settled twice.
  while (applied < want.size() + 1 && stream->Read(&frame)) {
    for (const auto& result : frame.settled().results()) {
      Require(result.status() == tidings::v1::SETTLEMENT_STATUS_APPLIED,
              "a settlement is " + tidings::v1::SettlementStatus_Name(result.status()));
      ++applied;
    }
    tidings::v1::ConsumeRequest settle;
    for (const auto& delivery : frame.deliveries().deliveries()) {
      auto* settlement = settle.mutable_settle()->add_settlements();
      settlement->set_delivery_token(delivery.delivery_token());
      const std::string& id = delivery.recorded().event().id();
      if (id == "full") attempts.push_back(delivery.attempt());
      if (id == "full" && attempts.size() == 1) {
        settlement->mutable_nack()->set_kind(tidings::v1::NACK_KIND_RETRY);
      } else {
        settlement->mutable_ack();
        acknowledged.push_back(id);
      }
    }
    if (settle.has_settle()) stream->Write(settle);
  }
  if (applied < want.size() + 1) {
    RequireOk(stream->Finish());
    throw std::runtime_error("the server ended the stream after " + std::to_string(applied));
  }
  stream->WritesDone();
  RequireOk(stream->Finish());

  Require(attempts == std::vector<int>{1, 2}, "full didn't come with the attempts 1 and 2");
  std::sort(want.begin(), want.end());
  std::sort(acknowledged.begin(), acknowledged.end());
  Require(acknowledged == want, std::to_string(acknowledged.size()) +
                                    " events were acknowledged, not each of the six once");
}

void Scenario::ExceedDeadline() {
  Call call(std::chrono::milliseconds(300));
  const auto stream = reader_->Read(&call, NewEvents());
  tidings::v1::ReadResponse frame;
  while (stream->Read(&frame)) {
  }
  Expect(stream->Finish(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

void Scenario::Cancel() {
  Call call;
  const auto stream = reader_->Read(&call, NewEvents());
  tidings::v1::ReadResponse frame;
  while (stream->Read(&frame)) {
    if (frame.has_caught_up()) call.TryCancel();
  }
  Expect(stream->Finish(), grpc::StatusCode::CANCELLED);
}
