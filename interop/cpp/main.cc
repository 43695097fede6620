// The client in C++, with gRPC. README.md in the directory above says what it does.

#include <cstdlib>
#include <exception>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "golden.h"
#include "scenario.h"

namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) throw std::runtime_error(std::string(name) + " is not set");
  return value;
}

// Does every step and returns whether none failed.
bool Run() {
  if (const auto transport = Variable("TIDINGS_TRANSPORT"); transport != "grpc") {
    throw std::runtime_error("TIDINGS_TRANSPORT is " + transport + ", want grpc");
  }
  Scenario scenario(Variable("TIDINGS_GRPC"), Variable("TIDINGS_TOPIC"));
  const std::string golden = Variable("TIDINGS_GOLDEN");
  const std::string out = Variable("TIDINGS_OUT");
  const std::vector<std::pair<std::string, std::function<void()>>> steps = {
      {"topic", [&] { scenario.CreateTopic(); }},
      {"publish", [&] { scenario.Publish(); }},
      {"refused", [&] { scenario.PublishInvalid(); }},
      {"read", [&] { scenario.Read(); }},
      {"tail", [&] { scenario.Tail(); }},
      {"consume", [&] { scenario.Consume(); }},
      {"deadline", [&] { scenario.ExceedDeadline(); }},
      {"cancel", [&] { scenario.Cancel(); }},
      {"golden", [&] { golden::Copy(golden, out); }},
      {"golden-json", [&] { golden::CopyJson(golden, out); }},
  };
  bool ok = true;
  for (const auto& [name, perform] : steps) {
    try {
      perform();
      std::cout << name << " ok" << std::endl;
    } catch (const std::exception& error) {
      std::cout << name << " fail: " << error.what() << std::endl;
      ok = false;
    }
  }
  return ok;
}

}  // namespace

int main() {
  try {
    return Run() ? EXIT_SUCCESS : EXIT_FAILURE;
  } catch (const std::exception& error) {
    std::cerr << error.what() << std::endl;
    return EXIT_FAILURE;
  }
}
