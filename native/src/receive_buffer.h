// The bytes of one stream between their arrival (in order, from ngtcp2) and the moment the application took them. Belongs to the worker.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "abi.h"
#include "buffer_pool.h"
#include "queue.h"

namespace kwik {

// Never holds more than the flow control window allows, because credit is given only for consumed bytes.
class ReceiveBuffer {
public:
    // Copies. False: no memory, nothing was taken.
    [[nodiscard]] bool append(std::span<const std::uint8_t> bytes) noexcept;
    // The next bytes in at most out.size() pieces; returns how many pieces.
    std::size_t peek(std::span<abi::Buffer> out) noexcept;
    // bytes <= size().
    void consume(std::uint64_t bytes) noexcept;
    // Drops everything and returns how much it was.
    std::uint64_t clear() noexcept;

    std::uint64_t size() const noexcept { return size_; }
    std::uint64_t offset() const noexcept { return offset_; }  // Bytes consumed so far: the stream offset of the next one.

private:
    static constexpr std::size_t first_piece = 4096;  // Most streams of a messaging protocol are short.
    struct Piece { BufferPool::Chunk memory; std::uint32_t length; };
    static std::size_t spare(const Piece& piece) noexcept { return piece.memory.get_deleter().capacity - piece.length; }
    Queue<Piece> pieces_;
    std::uint32_t skip_ = 0;  // Consumed bytes of the first piece.
    std::uint64_t size_ = 0;
    std::uint64_t offset_ = 0;
};

}  // namespace kwik
