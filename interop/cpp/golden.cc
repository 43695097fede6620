#include "golden.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>

namespace golden {
namespace {

namespace fs = std::filesystem;
using google::protobuf::Message;

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  file.exceptions(std::ios::badbit);
  if (!file) throw std::runtime_error(path.string() + " can't be read");
  return {std::istreambuf_iterator<char>(file), {}};
}

void WriteFile(const fs::path& path, const std::string& data) {
  std::ofstream file(path, std::ios::binary);
  file.exceptions(std::ios::badbit | std::ios::failbit);
  file << data;
  file.close();
}

// Returns an empty message of a type that is linked into this program.
std::unique_ptr<Message> NewMessage(const std::string& type_name) {
  const auto* descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(type_name);
  if (descriptor == nullptr) throw std::runtime_error("there is no message " + type_name);
  return std::unique_ptr<Message>(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
}

// Calls take with the name of each vector, LABEL-NAME, with what it holds and with an
// empty message of its type. take returns what is wrong with it.
void EachVector(const fs::path& golden, const std::string& extension,
                const std::function<std::string(const std::string& name, const std::string& data,
                                                Message* message)>& take) {
  int vectors = 0;
  for (const auto& entry : fs::directory_iterator(golden)) {
    if (entry.path().extension() != extension) continue;
    const std::string name = entry.path().stem();
    const auto message = NewMessage(name.substr(name.find('-') + 1));
    const std::string problem = take(name, ReadFile(entry.path()), message.get());
    if (!problem.empty()) {
      throw std::runtime_error(entry.path().filename().string() + ": " + problem);
    }
    ++vectors;
  }
  if (vectors == 0) throw std::runtime_error("there are no vectors in " + golden.string());
}

}  // namespace

void Copy(const fs::path& golden, const fs::path& out) {
  EachVector(golden, ".binpb",
             [&](const std::string& name, const std::string& data, Message* message) {
               if (!message->ParseFromString(data)) return std::string("it can't be decoded");
               WriteFile(out / (name + ".binpb"), message->SerializeAsString());
               return std::string();
             });
}

void CopyJson(const fs::path& golden, const fs::path& out) {
  EachVector(golden, ".binpb",
             [&](const std::string& name, const std::string& data, Message* message) {
               if (!message->ParseFromString(data)) return std::string("it can't be decoded");
               std::string json;
               const auto status = google::protobuf::util::MessageToJsonString(*message, &json);
               if (status.ok()) WriteFile(out / (name + ".json"), json);
               return status.ok() ? std::string() : status.ToString();
             });
  EachVector(golden, ".json",
             [&](const std::string& name, const std::string& data, Message* message) {
               const auto status = google::protobuf::util::JsonStringToMessage(data, message);
               if (!status.ok()) return status.ToString();
               WriteFile(out / (name + ".json.binpb"), message->SerializeAsString());
               return std::string();
             });
}

}  // namespace golden
