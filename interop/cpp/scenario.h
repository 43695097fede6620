#pragma once

#include <grpcpp/grpcpp.h>

#include <filesystem>
#include <memory>
#include <string>

#include "tidings/v1/consumer_service.grpc.pb.h"
#include "tidings/v1/publisher_service.grpc.pb.h"
#include "tidings/v1/reader_service.grpc.pb.h"
#include "tidings/v1/subscription_service.grpc.pb.h"
#include "tidings/v1/topic_service.grpc.pb.h"

// One run of the steps; README.md in the directory above says what they are. A step
// throws where it fails.
class Scenario {
 public:
  // `address` is that of the server for gRPC, host:port.
  Scenario(const std::string& address, std::string topic);

  void CreateTopic();
  void Publish();
  void PublishInvalid();
  void Read();
  void Tail();
  void Consume();
  void ExceedDeadline();
  void Cancel();

 private:
  // Asks for what is stored from now on, without a bound.
  tidings::v1::ReadRequest NewEvents() const;

  std::string address_;
  std::string topic_;
  std::unique_ptr<tidings::v1::TopicService::Stub> topics_;
  std::unique_ptr<tidings::v1::PublisherService::Stub> publisher_;
  std::unique_ptr<tidings::v1::ReaderService::Stub> reader_;
  std::unique_ptr<tidings::v1::SubscriptionService::Stub> subscriptions_;
  std::unique_ptr<tidings::v1::ConsumerService::Stub> consumer_;
};
