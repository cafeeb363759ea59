#include "quic_memory.h"

#include <malloc.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>

namespace kwik {

namespace {

// Blocks follow one another, each behind its length; the space is used again when all were given back, which is soon: their connections end.
struct Reserve {
    static constexpr std::size_t alignment = alignof(std::max_align_t);

    bool owns(const void* block) const noexcept { return !std::less<>{}(block, static_cast<const void*>(memory)) && std::less<>{}(block, static_cast<const void*>(memory + sizeof memory)); }
    static std::size_t length_of(const void* block) noexcept { return *reinterpret_cast<const std::size_t*>(static_cast<const std::uint8_t*>(block) - alignment); }

    void* take(std::size_t size) noexcept {
        std::lock_guard lock(mutex);
        const std::size_t whole = alignment + (size + alignment - 1) / alignment * alignment;
        if (size > sizeof memory || whole > sizeof memory - used) return nullptr;
        *reinterpret_cast<std::size_t*>(memory + used) = size;
        void* block = memory + used + alignment;
        used += whole;
        ++blocks;
        return block;
    }
    void give_back() noexcept {
        std::lock_guard lock(mutex);
        if (--blocks == 0) used = 0;
    }

    std::mutex mutex;
    std::size_t used = 0, blocks = 0;
    alignas(alignment) std::uint8_t memory[QuicMemory::reserve_bytes] = {};
};
constinit Reserve reserve;

}  // namespace

void* QuicMemory::allocate(std::size_t size, void* self) noexcept {
    if (void* block = std::malloc(size)) return block;
    static_cast<QuicMemory*>(self)->out_ = true;
    return reserve.take(size);
}

void* QuicMemory::allocate_zeroed(std::size_t count, std::size_t size, void* self) noexcept {
    if (void* block = std::calloc(count, size)) return block;
    static_cast<QuicMemory*>(self)->out_ = true;
    std::size_t bytes;
    void* block = __builtin_mul_overflow(count, size, &bytes) ? nullptr : reserve.take(bytes);
    if (block != nullptr) std::memset(block, 0, bytes);
    return block;
}

void* QuicMemory::reallocate(void* old, std::size_t size, void* self) noexcept {
    const bool reserved = old != nullptr && reserve.owns(old);
    if (!reserved) {
        if (void* block = std::realloc(old, size)) return block;
        static_cast<QuicMemory*>(self)->out_ = true;
    }
    void* block = reserve.take(size);
    if (block == nullptr || old == nullptr) return block;
    std::memcpy(block, old, std::min(size, reserved ? Reserve::length_of(old) : malloc_usable_size(old)));
    release(old, self);
    return block;
}

void QuicMemory::release(void* memory, void*) noexcept {
    if (memory != nullptr && reserve.owns(memory)) reserve.give_back();
    else std::free(memory);
}

}  // namespace kwik
