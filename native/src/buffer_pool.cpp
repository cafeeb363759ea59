#include "buffer_pool.h"

#include <cstdlib>
#include <new>

namespace kwik {

BufferPool& BufferPool::instance() noexcept {
    // Never destroyed: worker threads may still return chunks while the process runs its static destructors.
    alignas(BufferPool) static std::byte memory[sizeof(BufferPool)];
    static BufferPool* pool = new (memory) BufferPool;
    return *pool;
}

BufferPool::Chunk BufferPool::take(std::size_t size) noexcept {
    if (size <= chunk_size / 2) return Chunk(static_cast<std::uint8_t*>(std::malloc(size)), Return{size});
    BufferPool& pool = instance();
    {
        std::lock_guard lock(pool.mutex_);
        if (!pool.idle_.empty()) {
            Chunk chunk(pool.idle_.back(), Return{chunk_size});
            pool.idle_.pop_back();
            return chunk;
        }
    }
    return Chunk(static_cast<std::uint8_t*>(std::malloc(chunk_size)), Return{chunk_size});
}

void BufferPool::Return::operator()(std::uint8_t* memory) const noexcept {
    if (memory == nullptr) return;
    if (capacity == chunk_size) {
        BufferPool& pool = instance();
        std::lock_guard lock(pool.mutex_);
        if (pool.idle_.capacity() == 0) {
            try { pool.idle_.reserve(max_idle_chunks); } catch (const std::bad_alloc&) {}
        }
        if (pool.idle_.size() < pool.idle_.capacity()) {
            pool.idle_.push_back(memory);
            return;
        }
    }
    std::free(memory);
}

std::size_t BufferPool::idle_chunks() noexcept {
    BufferPool& pool = instance();
    std::lock_guard lock(pool.mutex_);
    return pool.idle_.size();
}

}  // namespace kwik
