// ngtcp2's allocator: malloc with something put by. ngtcp2 0.12.1 does not survive every failed allocation (an assertion in conn_write_pkt looks at the wrong variable, a constructor that fails
// leaves a pointer to what it freed), so a connection for which there is no memory lives on the reserve until the end of the turn, and ends then.
//
// What ngtcp2 loses is given back at the end: an exception that passes through it (see ngtcp2_guard.h) leaves blocks that nobody knows, and a peer could bring that about in one connection after the other.
#pragma once

#include <cstddef>

#include "quic_api.h"

namespace kwik {

// One of a connection. Its address must stay the same while the ngtcp2_conn lives, and it must outlive that.
class QuicMemory {
public:
    QuicMemory() = default;
    QuicMemory(const QuicMemory&) = delete;
    ~QuicMemory();

    // Of the process. It is never touched, and so costs nothing, while there is memory.
    static constexpr std::size_t reserve_bytes = 1024 * 1024;

    // For the constructors of ngtcp2_conn. Any thread, one at a time.
    const ngtcp2_mem* functions() noexcept { return &functions_; }
    // An allocation had to use the reserve, or found that empty too.
    bool is_out() const noexcept { return out_; }

private:
    // Stands before each block.
    struct alignas(std::max_align_t) Header {
        Header* next;
        Header** link;  // What points here.
    };

    void* link(void* raw) noexcept;
    static Header* unlink(void* block) noexcept;
    void* take_reserve(std::size_t size) noexcept;

    static void* allocate(std::size_t size, void* self) noexcept;
    static void* allocate_zeroed(std::size_t count, std::size_t size, void* self) noexcept;
    static void* reallocate(void* old, std::size_t size, void* self) noexcept;
    static void release(void* memory, void* self) noexcept;

    ngtcp2_mem functions_{this, allocate, release, allocate_zeroed, reallocate};
    Header* first_ = nullptr;
    bool out_ = false;
};

}  // namespace kwik
