// What the fuzz targets share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <utility>

namespace kwik::fuzz {

using Input = std::span<const std::uint8_t>;

// A property that must hold for every input.
inline void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}

// Takes a part whose length is its first two bytes, little endian; what is left if there is less.
inline Input take_part(Input& input) {
    if (input.size() < 2) return std::exchange(input, {});
    const std::size_t length = std::min<std::size_t>(input[0] | input[1] << 8, input.size() - 2);
    const Input part = input.subspan(2, length);
    input = input.subspan(2 + length);
    return part;
}

inline bool lies_within(Input part, Input whole) {
    return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

}  // namespace kwik::fuzz
