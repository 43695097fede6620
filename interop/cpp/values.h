#pragma once

#include <vector>

#include "tidings/conformance/v1/every_kind.pb.h"

// The values that are published. values/*.json in the directory above says what they
// are.
namespace values {

tidings::conformance::v1::EveryKind Full();

// All values, in the order in which they are published.
std::vector<tidings::conformance::v1::EveryKind> All();

}  // namespace values
