#pragma once

#include <filesystem>

// The golden vectors. Both throw where one can't be read or written.
namespace golden {

// Writes each vector again as it is.
void Copy(const std::filesystem::path& golden, const std::filesystem::path& out);

// Turns each vector into the other form.
void CopyJson(const std::filesystem::path& golden, const std::filesystem::path& out);

}  // namespace golden
