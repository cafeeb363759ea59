#include "quic_memory.h"

#include <malloc.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <new>

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

void free_raw(void* raw) noexcept {
    if (reserve.owns(raw)) reserve.give_back();
    else std::free(raw);
}

std::size_t plus(std::size_t header, std::size_t size) noexcept { return size > SIZE_MAX - header ? SIZE_MAX : header + size; }

}  // namespace

QuicMemory::~QuicMemory() {
    while (first_ != nullptr) release(first_ + 1, this);
}

// Null stays null.
void* QuicMemory::link(void* raw) noexcept {
    if (raw == nullptr) return nullptr;
    auto* header = new (raw) Header{first_, &first_};
    if (first_ != nullptr) first_->link = &header->next;
    first_ = header;
    return header + 1;
}

QuicMemory::Header* QuicMemory::unlink(void* block) noexcept {
    Header* header = static_cast<Header*>(block) - 1;
    *header->link = header->next;
    if (header->next != nullptr) header->next->link = header->link;
    return header;
}

void* QuicMemory::take_reserve(std::size_t size) noexcept {
    out_ = true;
    return link(reserve.take(plus(sizeof(Header), size)));
}

void* QuicMemory::allocate(std::size_t size, void* self) noexcept {
    auto& memory = *static_cast<QuicMemory*>(self);
    void* block = memory.link(std::malloc(plus(sizeof(Header), size)));
    return block != nullptr ? block : memory.take_reserve(size);
}

void* QuicMemory::allocate_zeroed(std::size_t count, std::size_t size, void* self) noexcept {
    auto& memory = *static_cast<QuicMemory*>(self);
    std::size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) return nullptr;
    void* block = memory.link(std::calloc(1, plus(sizeof(Header), bytes)));
    if (block != nullptr) return block;
    block = memory.take_reserve(bytes);
    if (block != nullptr) std::memset(block, 0, bytes);
    return block;
}

void* QuicMemory::reallocate(void* old, std::size_t size, void* self) noexcept {
    if (old == nullptr) return allocate(size, self);
    auto& memory = *static_cast<QuicMemory*>(self);
    Header* header = unlink(old);
    const bool reserved = reserve.owns(header);
    if (!reserved) {
        if (void* block = memory.link(std::realloc(static_cast<void*>(header), plus(sizeof(Header), size)))) return block;
    }
    memory.link(header);
    void* block = memory.take_reserve(size);
    if (block == nullptr) return nullptr;
    std::memcpy(block, old, std::min(size, (reserved ? Reserve::length_of(header) : malloc_usable_size(header)) - sizeof(Header)));
    release(old, self);
    return block;
}

void QuicMemory::release(void* block, void*) noexcept {
    if (block != nullptr) free_raw(unlink(block));
}

}  // namespace kwik
