// The memory of bulk data: chunks of a little more than 64 KiB, so that a send of 64 KiB with a few bytes before it has one; they are used again instead of returned to malloc, because page faults on fresh memory cost more than the copy into it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace kwik {

// A piece of memory. Sizes up to BufferPool::chunk_size / 2 come from malloc, exactly; larger ones are pooled.
class BufferPool {
public:
    static constexpr std::size_t chunk_size = 64 * 1024 + 512;
    static constexpr std::size_t max_idle_chunks = 256;  // 16 MiB: what the pool keeps at most while nobody uses it.

    struct Return { std::size_t capacity = 0; void operator()(std::uint8_t* memory) const noexcept; };
    using Chunk = std::unique_ptr<std::uint8_t[], Return>;

    // At least `size` bytes (1 to chunk_size), uninitialised; capacity in get_deleter(). nullptr: no memory. Any thread.
    [[nodiscard]] static Chunk take(std::size_t size) noexcept;
    // Idle chunks now, for tests.
    static std::size_t idle_chunks() noexcept;

private:
    static BufferPool& instance() noexcept;
    std::mutex mutex_;
    std::vector<std::uint8_t*> idle_;
};

}  // namespace kwik
