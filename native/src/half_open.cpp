#include "half_open.h"

#include <unistd.h>

#include <algorithm>

namespace kwik {

namespace {

std::uint64_t limit_of(std::uint16_t share) noexcept {
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    const std::uint64_t memory = pages > 0 && page > 0 ? static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page) : std::uint64_t{1} << 30;
    const std::uint64_t limit = memory / UINT16_MAX * share / HalfOpen::bytes_each;
    return share == 0 ? 0 : std::max<std::uint64_t>(limit, 1);
}

constexpr std::uint16_t default_share = 65;

}  // namespace

std::atomic<std::uint64_t> HalfOpen::count_{0};
std::atomic<std::uint64_t> HalfOpen::limit_{limit_of(default_share)};

void HalfOpen::set_memory_share(std::uint16_t share) noexcept { limit_.store(limit_of(share), std::memory_order_relaxed); }

}  // namespace kwik
